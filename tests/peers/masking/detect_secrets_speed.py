"""Prints the speed of detect-secrets on a file, in MiB/s: `pip install detect-secrets` first."""
import os
import sys
import time

from detect_secrets.core import scan
from detect_secrets.settings import default_settings

with default_settings():
    began = time.perf_counter()
    found = len(list(scan.scan_file(sys.argv[1])))
    seconds = time.perf_counter() - began
print(f"{os.path.getsize(sys.argv[1]) / 2**20 / seconds:.3f} {found}")
