"""Work that ends its process, as a lack of memory does."""

import os
import signal


def die(*_):
    """Take any arguments, return nothing."""
    os.kill(os.getpid(), signal.SIGKILL)
