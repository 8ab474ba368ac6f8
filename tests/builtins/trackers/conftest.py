from tests.trial import parts as parts
from tests.trial import trial as trial
