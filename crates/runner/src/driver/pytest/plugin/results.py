"""Turns pytest's reports about one case into one result, by the rules of pytest's own JUnit writer.

A case may have many reports (three phases, subtests, reruns). The writer adds one element per report; the
gravest of them decides: failure, then error, then skip, then pass.
"""
import re

from _fleetest_wire import cut

try:
    from _pytest.junitxml import bin_xml_escape, mangle_test_address
except ImportError:  # pytest without its JUnit plugin

    def bin_xml_escape(text):
        return str(text)

    def mangle_test_address(address):
        path, bracket, params = address.partition("[")
        names = path.split("::")
        names[0] = re.sub(r"\.py$", "", names[0].replace("/", "."))
        names[-1] += bracket + params
        return names


def names_of(nodeid, prefix):
    """Class path and name as the JUnit writer prints them."""
    names = mangle_test_address(nodeid)
    classes = names[:-1]
    if prefix:
        classes.insert(0, prefix)
    return ".".join(classes), bin_xml_escape(names[-1])


def first_line(text):
    for line in text.splitlines():
        if line.strip():
            return line.strip()[:1000]
    return "no message"


def kind_of(report, kinds):
    """The exception's type; it is only known for sure where pytest showed us the exception."""
    known = kinds.get(id(report))
    if known:
        return known
    text = str(report.longrepr)
    if text.startswith("[XPASS(strict)]"):
        return "XPassStrict"
    crash = getattr(report.longrepr, "reprcrash", None)
    head = crash.message.split(":", 1)[0] if crash is not None else ""
    return head if head.replace(".", "").isidentifier() else "Failed"


def failure_of(report, kinds):
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(report.longrepr)
    message = first_line(crash.message if crash is not None else text)
    if report.when in ("setup", "teardown"):
        message = "%s failed: %s" % (report.when, message)
    return {"kind": kind_of(report, kinds), "message": message, "detail": text}


def reason_of(report):
    """Why a case was skipped, or was expected to fail."""
    if hasattr(report, "wasxfail"):
        reason = report.wasxfail
        return reason[len("reason: "):] if reason.startswith("reason: ") else reason
    longrepr = report.longrepr
    reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return reason[len("Skipped: "):] if reason.startswith("Skipped: ") else reason


def output_of(reports):
    """Every captured section once: the sections of a phase are repeated in the reports of later phases."""
    seen = []
    for report in reports:
        for section in report.sections:
            if section not in seen:
                seen.append(section)
    return cut("\n".join("--- %s ---\n%s" % (head, text.rstrip("\n")) for head, text in seen))


def is_subtest(report):
    """Reports of subtests, built in or of the plugin, carry their context; their time is inside the call's."""
    return hasattr(report, "context")


def grade(report):
    """What the JUnit writer makes of one report."""
    if report.outcome == "passed":
        return "passed"
    if report.outcome == "skipped":
        return "skipped"
    if report.outcome != "failed":  # "rerun" and other words of plugins
        return "passed"
    if report.when == "call":
        return "skipped" if hasattr(report, "wasxfail") else "failed"
    return "errored"


def result_of(reports, kinds):
    """The part of a result that follows from the reports."""
    result = {"outcome": "passed", "duration_us": int(sum(r.duration for r in reports if not is_subtest(r)) * 1e6)}
    for report in reports:
        if report.sections:
            result["output"] = output_of(reports)
            break
    graded = [(grade(report), report) for report in reports if report.outcome != "passed"]
    bad = [(word, report) for word, report in graded if word in ("failed", "errored")]
    if bad:
        word, report = next(((w, r) for w, r in bad if w == "failed"), bad[0])
        failure = failure_of(report, kinds)
        others = [str(r.longrepr) for _, r in bad if r is not report]
        failure["detail"] = cut("\n\n".join([failure["detail"]] + others))
        failure["message"] = cut(failure["message"])
        result["outcome"] = word
        result["failure"] = failure
        return result
    skipped = [report for word, report in graded if word == "skipped"]
    if skipped:
        result["outcome"] = "skipped"
        result["reason"] = cut(reason_of(skipped[0]))
    return result


def collect_result(report, kinds):
    """The result of a file, class or directory that could not be collected."""
    result = {"outcome": "skipped" if report.outcome == "skipped" else "errored", "duration_us": 0}
    if report.sections:
        result["output"] = output_of([report])
    if report.outcome == "skipped":
        result["reason"] = cut(reason_of(report))
    else:
        text = str(report.longrepr)
        message = "collection failed: " + last_line(text)
        result["failure"] = {"kind": kinds.get(id(report), "CollectError"), "message": message, "detail": cut(text)}
    return result


def last_line(text):
    """The last line of a traceback, which names the exception."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line[1:].strip() for line in lines if line.startswith("E ")]
    return ((marked or lines or ["no message"])[-1])[:1000]
