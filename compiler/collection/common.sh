# Runs a command in the Pod $1 of the node $2, and keeps what it prints if that is whole.
fetch() {
    pod=$1 node=$2 what=$3 file=$dir/$2.$4
    if in_pod "$pod" "$what" >"$file.part" && [ -s "$file.part" ]; then
        mv "$file.part" "$file"
    else
        rm -f "$file.part"
        echo "$node: no $what" >&2
    fi
}

fetch_all() {
    fetch "$1" "$2" rules save
    fetch "$1" "$2" metrics metrics
}

# Nodes that are not ready have no Pod, or one that does not answer.
report() {
    missing=0 count=0
    while read -r node; do
        count=$((count + 1))
        if [ ! -e "$dir/$node.save" ] || [ ! -e "$dir/$node.metrics" ]; then
            missing=$((missing + 1))
            echo "$node: incomplete" >&2
        fi
    done <"$work/nodes"
    echo "$dir: $((count - missing)) of $count nodes complete" >&2
    [ "$missing" -eq 0 ]
}

umask 077
[ -n "$dir" ] || { echo "usage: sh FILE DIR" >&2; exit 2; }
mkdir -p "$dir"
# An old dump must not be taken for a new one.
[ -z "$(ls -A "$dir")" ] || { echo "$dir: not empty; name a new folder" >&2; exit 2; }
work=$(mktemp -d)
