# Lays the bundle out from objects and runs its installer. Reads: model; on standard
# input lines `MODE DIGEST PATH`.
umask 022
root=$HOME/.cache/edgedeploy
trap '' PIPE HUP
# An installation that a dropped connection left behind ends by itself: wait for it.
exec 9>"$root/.lock"
flock -w 1800 9 || refuse "another installation has been running for half an hour"
stage=$(mktemp -d "$root/stage.XXXXXX") || refuse "cannot write $root"
trap 'rm -rf "$stage"' EXIT
trap 'exit 143' TERM
while read -r mode name path; do
    case $path in */*) mkdir -p "$stage/${path%/*}" ;; esac
    object=$root/objects/$name
    if [ ! -f "$object" ]; then
        printf 'incomplete\n'
        exit 0
    fi
    # A link takes no space; a program needs a mode of its own.
    if [ "$mode" = 755 ] || ! ln "$object" "$stage/$path" 2>/dev/null; then
        cp "$object" "$stage/$path" || { printf 'full\n'; exit 0; }
        chmod "$mode" "$stage/$path"
    fi
done
# Held here: it shall not die of a connection that breaks, nor lack room for words.
said=$("$stage/install.sh" 2>&1 </dev/null 9>&-)
printf 'code %s\n' "$?"
printf '%s\n' "$said" | tail -n 60
exit 0
