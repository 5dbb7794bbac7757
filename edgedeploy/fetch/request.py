"""Ask a server for a file, and make sense of its refusals."""

from __future__ import annotations

import email.utils
import http
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from edgedeploy.errors import FetchError
from edgedeploy.fetch.address import check_scheme, probe, redact
from edgedeploy.fetch.attempts import Interrupted, NobodyThere, Patience, Unusable

if TYPE_CHECKING:
    import requests

MOST_REDIRECTS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})


def open_response(
    session: requests.Session,
    url: str,
    *,
    headers: dict[str, str],
    plain_http: bool,
    patience: Patience,
) -> requests.Response:
    """Ask for a file.

    Redirects are followed one by one, so that each can be refused.

    Args:
        session: For connections.
        url: Where from.
        headers: Of the request.
        plain_http: Whether http is allowed beyond this machine.
        patience: Timeouts.

    Returns:
        An answer with status 200 or 206 whose body is still to be read.

    Raises:
        Interrupted: There was no such answer; another try may get one.
        Unusable: The range asked for does not exist.
        FetchError: The answer is not the file.
    """
    previous: str | None = None
    for _ in range(MOST_REDIRECTS + 1):
        check_scheme(url, plain_http=plain_http, previous=previous)
        response = _ask(session, url, headers, patience)
        if response.status_code not in REDIRECTS:
            _check_status(response, url)
            return response
        location = response.headers.get("Location", "")
        response.close()
        if not location:
            raise FetchError(f"{redact(url)} redirects to nowhere")
        try:
            previous, url = url, urljoin(url, location)
        except ValueError as error:
            raise FetchError(f"{redact(url)} redirects to no address") from error
    raise FetchError(f"{redact(url)} redirects more than {MOST_REDIRECTS} times")


def _ask(
    session: requests.Session,
    url: str,
    headers: dict[str, str],
    patience: Patience,
) -> requests.Response:
    import requests

    try:
        probe(url, deadline_s=patience.connect_s)
    except OSError as error:
        raise NobodyThere(error.strerror or str(error)) from error
    try:
        return session.get(
            url,
            headers=headers,
            stream=True,
            timeout=(patience.connect_s, patience.stall_s),
            allow_redirects=False,
        )
    except requests.exceptions.ProxyError as error:
        refused = re.search(r"\b(403|407)\b", str(error))
        reason = f"the proxy refused with {refused[1]}" if refused else "proxy failed"
        raise NobodyThere(reason, again=refused is None) from error
    except requests.exceptions.SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise FetchError(
                f"{redact(url)} shows a certificate that this machine does not trust; "
                f"if a proxy of yours signs it, set REQUESTS_CA_BUNDLE"
            ) from error
        raise Interrupted("the TLS connection broke") from error
    except requests.exceptions.ConnectTimeout as error:
        raise NobodyThere(f"no connection in {patience.connect_s:g} s") from error
    except requests.exceptions.Timeout as error:
        raise Interrupted(f"no answer in {patience.stall_s:g} s") from error
    except requests.exceptions.ConnectionError as error:
        raise Interrupted("the connection broke") from error
    except (requests.exceptions.RequestException, ValueError) as error:
        raise FetchError(
            f"{redact(url)} cannot be asked, or sends elsewhere in a way that cannot "
            f"be followed: {type(error).__name__}"
        ) from error


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status in {200, 206}:
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding in {"", "identity"}:
            return
        response.close()
        raise FetchError(f"{redact(url)} answers in {encoding!r} encoding, unasked")
    retry_after_s = _read_retry_after(response.headers.get("Retry-After", ""))
    response.close()
    try:
        reason = f"HTTP {status} ({http.HTTPStatus(status).phrase})"
    except ValueError:
        reason = f"HTTP {status}"
    if status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise Unusable(reason)
    if status in {403, 407}:
        raise Interrupted(reason, again=False)
    if status in {408, 425, 429} or status >= 500:
        raise Interrupted(reason, retry_after_s=retry_after_s)
    raise FetchError(f"{redact(url)} answers {reason}; expected the file")


def _read_retry_after(value: str) -> float | None:
    """Read Retry-After: seconds or a date (RFC 9110, section 10.2.3)."""
    if re.fullmatch(r"\d{1,9}", value.strip()):
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
        return max(0.0, when.timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
