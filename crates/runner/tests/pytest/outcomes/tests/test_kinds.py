import logging
import sys
import unittest
import warnings

import pytest


def test_pass():
    print("to stdout")
    print("to stderr", file=sys.stderr)
    logging.getLogger("x").warning("to the log")


def test_fail():
    print("before the failure")
    assert 1 + 1 == 3, "sums are off"


def test_error_of_type():
    {}["missing"]


def test_system_exit():
    raise SystemExit(3)


@pytest.mark.skip(reason="not today")
def test_skip_mark():
    pass


def test_skip_call():
    pytest.skip("changed my mind")


@pytest.mark.xfail(reason="known bug")
def test_xfail():
    assert False


@pytest.mark.xfail
def test_xpass():
    pass


@pytest.mark.xfail(strict=True, reason="must fail")
def test_xpass_strict():
    pass


def test_xfail_call():
    pytest.xfail("from inside")


@pytest.fixture
def broken_setup():
    raise OSError("no disk")


@pytest.fixture
def broken_teardown():
    yield
    raise OSError("no way back")


@pytest.fixture
def skipping_teardown():
    yield
    pytest.skip("late skip")


def test_setup_error(broken_setup):
    pass


def test_teardown_error(broken_teardown):
    pass


def test_fail_and_teardown_error(broken_teardown):
    assert False, "first"


@pytest.mark.xfail
def test_xfail_and_teardown_error(broken_teardown):
    assert False


def test_teardown_skip(skipping_teardown):
    pass


def test_setup_and_teardown_error(broken_teardown, broken_setup):
    pass


@pytest.mark.parametrize("value", ["a::b", "[x]", "slash/slash", "ü", "", "new\nline", "\x00", "a b"])
def test_ids(value):
    pass


@pytest.mark.slow
def test_slow():
    raise AssertionError("deselected")


def test_left_out_by_hook():
    raise AssertionError("deselected")


def test_subtests(subtests):
    for i in range(4):
        with subtests.test("part", i=i):
            assert i not in (1, 2)


def test_subtests_pass(subtests):
    for i in range(4):
        with subtests.test(i=i):
            pass


def test_subtest_skip(subtests):
    with subtests.test("skipped"):
        pytest.skip("part of it")


def test_warning():
    warnings.warn("only a warning")


class TestClass:
    @pytest.fixture(autouse=True, scope="class")
    def once(self):
        yield

    def test_method(self, module_trail):
        module_trail.append(1)

    class TestInner:
        def test_inner(self, module_trail):
            module_trail.append(2)


class OldStyle(unittest.TestCase):
    def test_equal(self):
        self.assertEqual(1, 1)

    def test_parts(self):
        for i in range(3):
            with self.subTest(i=i):
                self.assertNotEqual(i, 1)

    @unittest.expectedFailure
    def test_expected(self):
        self.fail("as expected")

    @unittest.expectedFailure
    def test_unexpected(self):
        pass

    @unittest.skip("old skip")
    def test_skipped(self):
        pass
