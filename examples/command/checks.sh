#!/bin/sh
# Checks the word list beside this script and writes what it found as JUnit XML to the file named by $1.
set -u
report=$1
failures=0
total=0
cases=""

# check NAME COMMAND…: one test case, passed if the command succeeds.
check() {
    name=$1
    shift
    total=$((total + 1))
    if "$@"; then
        cases="$cases  <testcase classname=\"words\" name=\"$name\" time=\"0.001\"/>
"
    else
        failures=$((failures + 1))
        cases="$cases  <testcase classname=\"words\" name=\"$name\" time=\"0.001\"><failure message=\"\`$*\` failed\"/></testcase>
"
    fi
}

is_sorted() { LC_ALL=C sort -c words.txt 2>/dev/null; }
has_no_duplicates() { [ -z "$(sort words.txt | uniq -d)" ]; }
is_lower_case() { ! grep -q '[A-Z]' words.txt; }
has_words() { [ -s words.txt ]; }

check is_not_empty has_words
check is_sorted is_sorted
check has_no_duplicates has_no_duplicates
check is_lower_case is_lower_case

{
    echo '<?xml version="1.0" encoding="UTF-8"?>'
    echo "<testsuite name=\"words\" tests=\"$total\" failures=\"$failures\">"
    printf '%s' "$cases"
    echo '</testsuite>'
} >"$report"
[ "$failures" -eq 0 ]
