# In:  nothing.
# Out: $digest, a command that prints the SHA-256 of its input, and perhaps more behind a blank.

for digest in sha256sum 'shasum -a 256' 'sha256 -q' 'openssl dgst -sha256 -r' ''; do
  case $($digest </dev/null 2>/dev/null) in
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855*) break ;;
  esac
done
[ "$digest" ] || refuse 'there is none of sha256sum, shasum, sha256 and openssl'
