"""Untrusted text in Markdown."""

import html


def escaped(text: str) -> str:
    """Keep the text from becoming a tag, a cell or a link."""
    text = html.escape(text, quote=False).replace("|", "&#124;").replace("](", "]&#40;").replace("][", "]&#91;")
    # Many renderers turn a bare URL into a link.
    return text.replace("://", "&#58;//").replace("www.", "www&#46;")


def code(text: str) -> str:
    """Return text as code, in which Markdown and HTML are inert."""
    inert = "".join(each if each.isprintable() and each != "`" else "'" for each in text)
    return f"`{inert}`" if inert else ""
