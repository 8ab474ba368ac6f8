"""The conformance checks of a plugin as a whole."""

import subprocess
import sys

import attrs

from segreg.errors import did_you_mean
from segreg.testing import checks
from segreg.testing.subject import Check, CheckFailed, PluginSubject, expect

_HEAVY = ("torch", "numpy", "PIL", "timm", "torchvision", "matplotlib", "scipy", "cv2", "tensorflow", "jax")


def works(subject: PluginSubject) -> None:
    """The plugin is found, its hooks are called, and its records are valid; it declares something."""
    count = len(subject.plugin.entries)
    if subject.plugin.cause:
        raise CheckFailed(subject.plugin.cause) from subject.plugin.error
    expect(count > 0, "it declares no components")


def declares_the_same_twice(subject: PluginSubject) -> None:
    """Two calls of the hooks give equal records."""
    plugin = subject.plugin
    again = attrs.evolve(plugin)
    first, second = ([entry.record for entry in each.entries] for each in (plugin, again))
    for one, other in zip(first, second, strict=False):
        expect(one == other, f"two calls of the hooks give {one} and {other}")
    expect(len(first) == len(second), f"two calls of the hooks give {len(first)} and {len(second)} records")


def hook_module_is_light(subject: PluginSubject) -> None:
    """Neither the module with the hooks nor the hooks import anything heavy, so that `segreg list` stays fast."""
    module = subject.plugin.entry_point.module
    heavy = _printed(subject, f"print(*sorted({set(_HEAVY)!r} & set(sys.modules)))").split()
    expect(not heavy, f"{module} imports {', '.join(heavy)}: name classes by import strings and import nothing there")


def global_state_is_not_modified(subject: PluginSubject) -> None:
    """Importing its components changes nothing of the process: torch's settings, directory, random numbers."""
    changes = _printed(
        subject, "from segreg.testing.process import changes_by_imports; print(changes_by_imports(plugin.entries))"
    )
    expect(not changes, changes)


def _printed(subject: PluginSubject, then: str) -> str:
    """Return the last line that a new process prints, which calls the hooks of the plugin and does something else."""
    script = f"""
import sys
sys.path[:] = {sys.path!r}
from segreg.registry import registry
for plugin in registry().plugins:
    if plugin.namespace == {subject.plugin.namespace!r}:
        plugin.entries
        {then}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    last = (done.stderr.splitlines() or ["?"])[-1]
    expect(done.returncode == 0, f"{subject.plugin.entry_point.module} cannot be imported: {last}")
    return (done.stdout.splitlines() or [""])[-1]


def known_failures_name_checks(subject: PluginSubject) -> None:
    """The known failures of a record are names of existing checks."""
    for entry in subject.plugin.entries:
        names = [check.name for check in checks.CHECKS[entry.kind]]
        for name in entry.record.known_failures:
            near = did_you_mean(name, names)
            expect(
                name in names, f"{entry.key} lists {name!r} in known_failures: unknown check of kind {entry.kind}{near}"
            )


CHECKS = (
    Check(works),
    Check(declares_the_same_twice),
    Check(hook_module_is_light),
    Check(global_state_is_not_modified),
    Check(known_failures_name_checks),
)
