import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from segreg import ExpressionError
from segreg.expression import Expression, format_sum, parse, parse_sum

names = st.from_regex(r"([A-Za-z0-9_-]{1,6}/)?[A-Za-z0-9_-]{1,6}", fullmatch=True)
option_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
texts = st.text(max_size=8) | st.text('",\\[]+=:*/ \t\n1e.-aé', max_size=8)
values = st.recursive(texts, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5)
expressions = st.builds(Expression, names, st.dictionaries(option_names, values, max_size=3))
weights = st.floats(min_value=0, allow_infinity=False) | st.sampled_from([0.5, 1.0, 2.0, 1e22, 1e-7])


@given(expressions)
def test_a_written_expression_is_read_back(expression: Expression) -> None:
    assert parse(str(expression)) == expression


def starts_like_a_number(expression: Expression) -> bool:
    """`1e+2*dice` is ten to the power of two; a component named `1e` cannot be first in a sum."""
    return re.match(r"-?\d+[eE]$", str(expression)) is not None


@given(
    st.lists(
        st.tuples(weights, expressions.filter(lambda each: not starts_like_a_number(each))), min_size=1, max_size=4
    )
)
@example([(1.0, Expression("a", {"x": "1e"})), (2.0, Expression("b"))])
def test_a_written_sum_is_read_back(terms: list[tuple[float, Expression]]) -> None:
    assert parse_sum(format_sum(terms)) == terms


@given(st.text('ab1e=:,+*[]"\\ ./-_\n', max_size=14))
@example('a:x="1",y=[b')
@example("a:x=1e+1+b")
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        terms, problem = parse_sum(text), ""
    except ExpressionError as error:
        terms, problem = [], str(error)
    assert "\n" not in problem
    assert bool(problem) != bool(terms)
    if terms:
        assert parse_sum(format_sum(terms)) == terms


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("unet", "unet", {}),
        ("timm/UNet_x", "timm/UNet_x", {}),
        (" unet : pool = conv , width = 32 ", "unet", {"pool": "conv", "width": "32"}),
        ("folder:classes=[sky,road]", "folder", {"classes": ("sky", "road")}),
        ('folder:classes=["a, b", [c,"]"] ,[]]', "folder", {"classes": ("a, b", ("c", "]"), ())}),
        ("ph2:root=/data/a b/PH2=new", "ph2", {"root": "/data/a b/PH2=new"}),
        (r"ph2:root=C:\data\new", "ph2", {"root": r"C:\data\new"}),
        (r'ph2:root="C:\new, \"old\" \\"', "ph2", {"root": 'C:\\new, "old" \\'}),
        ("a:x=", "a", {"x": ""}),
        ('a:x=""', "a", {"x": ""}),
        ("a:x=b+c", "a", {"x": "b+c"}),
    ],
)
def test_reads(text: str, name: str, options: dict[str, object]) -> None:
    assert parse(text) == Expression(name, options)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("bce", [(1.0, Expression("bce"))]),
        ("bce+dice", [(1.0, Expression("bce")), (1.0, Expression("dice"))]),
        (
            "bce + .5 * dice:smooth=1e+1 + 1e+2*focal:gamma=2.5E-1",
            [
                (1.0, Expression("bce")),
                (0.5, Expression("dice", {"smooth": "1e+1"})),
                (100.0, Expression("focal", {"gamma": "2.5E-1"})),
            ],
        ),
        (
            'a:x="b+c",y=[d+e]+2.*f',
            [(1.0, Expression("a", {"x": "b+c", "y": ("d+e",)})), (2.0, Expression("f"))],
        ),
        ("resnet2e+dice", [(1.0, Expression("resnet2e")), (1.0, Expression("dice"))]),
        ("a:x=run1e+dice", [(1.0, Expression("a", {"x": "run1e"})), (1.0, Expression("dice"))]),
    ],
)
def test_reads_sums(text: str, terms: list[tuple[float, Expression]]) -> None:
    assert parse_sum(text) == terms


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"width": 32, "flag": True, "size": None, "p": 0.5}, "a:width=32,flag=true,size=none,p=0.5"),
        ({"p": 1e22}, "a:p=1e+22"),
        ({"root": Path("a, b")}, 'a:root="a, b"'),
        ({"classes": ["sky", "a,b"]}, 'a:classes=[sky,"a,b"]'),
    ],
)
def test_writes_values(options: dict[str, object], text: str) -> None:
    assert str(Expression("a", options)) == text


def test_writes_sums() -> None:
    terms = [(2.0, Expression("a")), (1.0, Expression("b", {"x": 1})), (0.25, Expression("c")), (0.0, Expression("d"))]
    assert format_sum(terms) == "2*a+b:x=1+0.25*c+0*d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' has an empty term"),
        ("bce+", "'bce+' has an empty term: write names joined by '+'"),
        ("bce+ +dice", "has an empty term"),
        ("0.5*", "'0.5*' has an empty term"),
        ("-1*bce", "'-1*bce' is not a component"),
        ("u net", "'u net' is not a component: write a name, or name:option=value,option=value"),
        ("a/b/c", "'a/b/c' is not a component"),
        (":x=1", "':x=1' is not a component"),
        ("unet:", "'' in 'unet:' is not an option: write unet:option=value"),
        ("unet:pool", "'pool' in 'unet:pool' is not an option: write unet:option=value"),
        ("unet:pool=max,", "'' in 'unet:pool=max,' is not an option"),
        ("unet:=max", "'=max' in 'unet:=max' is not an option"),
        ("unet:po ol=max", "'po ol=max' in 'unet:po ol=max' is not an option"),
        ("unet:a=1,a=2", "'unet:a=1,a=2' gives the option 'a' twice: keep one"),
        ("a:x=[b", "'a:x=[b' has an unclosed bracket"),
        ('a:x="b', "has an unclosed double quote"),
        ('a:x="b\\"', "has an unclosed double quote"),
        ("a:x=b]", "'a:x=b]' has a ']' without its '[': put a literal one in double quotes"),
        ('a:x="b"c', "'\"b\"c' in 'a:x=\"b\"c' mixes quotes or brackets with text: put all of it in double quotes"),
        ("a:x=[b]c", "'[b]c' in 'a:x=[b]c' mixes quotes"),
        ("a:x\n=1,\ny", r"'y' in 'a:x\n=1,\ny' is not an option"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_sum(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
