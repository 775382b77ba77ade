"""The table of options that help reads is that of the configuration."""

import json
import subprocess
import sys
from dataclasses import asdict

from polypda.cli.option_index import shown_options

ASKED = """
import json
from dataclasses import asdict
from polypda.cli.option_index import options_of_configuration
print(json.dumps([asdict(option) for option in options_of_configuration()]))
"""


def test_the_table_is_that_of_the_fields_and_presets():
    """In a process of its own: presets of tests are smaller."""
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [asdict(option) for option in shown_options()], (
        "write it anew: python -m polypda.cli.option_index"
    )
