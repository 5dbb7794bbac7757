# Takes objects from a tar stream; each counts only after its digest was checked, so a
# stream that breaks off leaves whole objects or none. Names the taken ones.
umask 022
root=$HOME/.cache/edgedeploy
mkdir -p "$root/objects" && chmod 700 "$root" || refuse "cannot write $root"
incoming=$(mktemp -d "$root/incoming.XXXXXX") || refuse "cannot write $root"
trap 'rm -rf "$incoming"' EXIT
trap 'exit 129' HUP
trap 'exit 143' TERM
trap '' PIPE
said=$(cd "$incoming" && tar -xf - --no-same-owner 2>&1)
for file in "$incoming"/*; do
    [ -f "$file" ] && [ ! -h "$file" ] || continue
    name=${file##*/}
    sum=$(sha256sum <"$file")
    [ "${sum%% *}" = "$name" ] || continue
    mv -f "$file" "$root/objects/$name" && printf 'have %s\n' "$name"
done
case $said in
    # GNU tar says `Wrote only` of a block that fitted in part.
    *'No space left'* | *'quota'* | *'Wrote only'*) printf 'full\n' ;;
    ?*) printf 'said %s\n' "$(printf '%s' "$said" | head -n 1)" ;;
esac
