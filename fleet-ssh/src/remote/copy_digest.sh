# Out: $digest, the program by which files are compared; empty where there is none.

find_digest() {
  for digest in sha256sum 'shasum -a 256' sha256 'openssl dgst -sha256' cksum ''; do
    case $($digest </dev/null 2>/dev/null) in
      *e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855* | '4294967295 0'*) break ;;
    esac
  done
}
