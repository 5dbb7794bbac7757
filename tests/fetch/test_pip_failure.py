import pytest

from edgedeploy.fetch.pip_failure import read_pip_failure


# As pip prints them, for servers of our own that answered so; names are shortened.
@pytest.mark.parametrize(
    "line",
    [
        "  ERROR: HTTP error 403 while getting http://127.0.0.1/x-1-py3-none-any.whl",
        "ERROR: Could not install requirement x==1 from http://127.0.0.1/x.whl because "
        "of HTTP error 403 Client Error: Forbidden for url: http://127.0.0.1/x.whl",
        "pip._vendor.requests.exceptions.RetryError: HTTPConnectionPool(host='127.0.0.1"
        "', port=1): Max retries exceeded with url: /x.whl (Caused by ResponseError("
        "'too many 503 error responses'))",
    ],
    ids=["forbidden", "forbidden-why", "busy"],
)
def test_index_that_does_not_answer_is_told_from_other_failures(line):
    assert read_pip_failure(f"Looking in indexes\n{line}\n").no_answer is True


@pytest.mark.parametrize(
    "line",
    [
        "ERROR: No matching distribution found for x==1",
        "  ERROR: HTTP error 404 while getting http://127.0.0.1/x-1-py3-none-any.whl",
        "",
    ],
    ids=["unknown", "not-found", "silent"],
)
def test_other_failures_are_not_the_networks(line):
    failure = read_pip_failure(line)
    assert (failure.missing, failure.no_answer) == (False, False)


def test_last_error_is_the_reason():
    failure = read_pip_failure("ERROR: first\nnot an ERROR: this\nERROR: last \nend\n")
    assert failure.errors == ("first", "last ")
    assert failure.reason("none") == "last"
    assert read_pip_failure("end\n").reason("none") == "none"


def test_python_without_pip_is_noticed():
    assert read_pip_failure("/usr/bin/python3: No module named pip\n").missing is True
