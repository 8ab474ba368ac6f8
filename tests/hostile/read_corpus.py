"""Reads every file of a folder as an image and as a mask, in limited memory, and prints outcome, time and memory."""

import json
import resource
import sys
import time
import warnings
from functools import partial
from pathlib import Path

from segreg.data.image_files import read_image, read_mask
from segreg.errors import DataError

_ROOM = 2**30

warnings.simplefilter("ignore")
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + _ROOM
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def peak() -> int:
    """The most memory that was in use since the last reset, in bytes."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024


found = []
for path in sorted(Path(sys.argv[1]).iterdir()):
    for read in (read_image, partial(read_mask, num_classes=1), partial(read_mask, num_classes=3)):
        Path("/proc/self/clear_refs").write_text("5")
        before, started = peak(), time.process_time()
        try:
            read(path)
            outcome, message = "read", ""
        except DataError as error:
            outcome, message = "refused", str(error)
        except BaseException as error:
            outcome, message = "broken", f"{type(error).__name__}: {error}"
        found.append([path.name, outcome, message, time.process_time() - started, peak() - before])
json.dump(found, sys.stdout)
