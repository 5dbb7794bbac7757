# Runs a program of the installed bundle. Reads: prefix, program, seconds.
trap '' PIPE
set -- --json
[ "$seconds" = 0 ] || set -- "$@" --seconds "$seconds"
"$prefix/current/bin/$program" "$@" </dev/null
