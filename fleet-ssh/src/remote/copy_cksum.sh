# Out: $digest, the program by which files are compared, cksum; empty where there is none.

find_digest() {
  digest=
  # What it prints of nothing.
  case $(cksum </dev/null 2>/dev/null) in '4294967295 0'*) digest=cksum ;; esac
}
