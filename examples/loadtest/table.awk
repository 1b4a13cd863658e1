# A line for each generator and one for all: awk -v generators=NUMBER -f table.awk results/RUN/*/wrk.txt
#
# Percentiles of several generators cannot be added up: the last line has the worst. The exit code is 1 if a request
# failed or one of so many generators has said nothing.
function line(name, rate, median, most, longest, failures) {
    printf "%-20s %12.1f %10.2f %10.2f %10.2f %8d\n", name, rate, median, most, longest, failures
}
function worst(one, other) { return one > other ? one : other }
BEGIN { printf "%-20s %12s %10s %10s %10s %8s\n", "generator", "requests/s", "p50 ms", "p99 ms", "max ms", "failed" }
$1 == "result" {
    parts = split(FILENAME, part, "/")
    rate = $2 / $3
    line(part[parts - 1], rate, $4, $5, $6, $7)
    said++; all += rate; failures += $7
    median = worst(median, $4); most = worst(most, $5); longest = worst(longest, $6)
}
END {
    line("all " said + 0 " of " generators, all, median, most, longest, failures)
    exit failures > 0 || said < generators
}
