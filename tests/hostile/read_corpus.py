"""Reads every file of a folder as an image and as a mask, in limited memory, and prints the outcome of each."""

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

found = []
for path in sorted(Path(sys.argv[1]).iterdir()):
    for read in (read_image, partial(read_mask, num_classes=1), partial(read_mask, num_classes=3)):
        started = time.process_time()
        try:
            read(path)
            outcome, message = "read", ""
        except DataError as error:
            outcome, message = "refused", str(error)
        except BaseException as error:
            outcome, message = "broken", f"{type(error).__name__}: {error}"
        found.append([path.name, outcome, message, time.process_time() - started])
json.dump(found, sys.stdout)
