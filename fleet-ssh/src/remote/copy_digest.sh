# In:  $needed, how much is to be compared, in KiB, or empty.
# Out: $digest, the program by which files are compared; empty where there is none.

find_digest() {
  # It takes longer to start than the others, and then a tenth of their time where they do not use what processors have for it.
  fast='openssl dgst -sha256'
  [ "${#needed}" -ge 5 ] || fast=:
  for digest in "$fast" sha256sum 'shasum -a 256' sha256 'openssl dgst -sha256' cksum ''; do
    case $($digest </dev/null 2>/dev/null) in
      *e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855* | '4294967295 0'*) break ;;
    esac
  done
}
