#!/usr/bin/env bash
# Packs files into an OCI image, as a tar that `ctr images import`, `skopeo copy oci-archive:` and `podman load` take. No
# container engine is needed, and the same files give the same image, bit for bit.
# usage: pack.sh IMAGE:TAG OUT.tar [FILE[:PATH]…] -- ENTRYPOINT [ARG…]
# A dynamically linked program brings its shared libraries along.
# $ROOTFS, if set, names a folder that is taken as it is beneath the files.
# $IMAGE_USER sets the user (default 65532; 0 for root).
set -euo pipefail
ref=$1 out=$2; shift 2
case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) echo "pack.sh: no name for $(uname -m)" >&2; exit 1 ;; esac
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
root=$work/rootfs; mkdir -p "$root"/{etc,tmp} "$work"/oci/blobs/sha256
chmod 1777 "$root/tmp"
echo 'root:x:0:0::/:/sbin/nologin
nonroot:x:65532:65532::/:/sbin/nologin' >"$root/etc/passwd"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
[ -z "${ROOTFS:-}" ] || cp -a "$ROOTFS/." "$root/"
while [ "${1:---}" != -- ]; do
  file=${1%%:*} path=${1#*:}; [ "$path" != "$1" ] || path=/$(basename "$file")
  install -D "$file" "$root/$path"
  for lib in $(ldd "$file" 2>/dev/null | grep -o '/[^ ]*' || true); do install -D "$lib" "$root/$lib"; done
  shift
done
[ "${1:-}" = -- ] && shift

blob() { # blob FILE MEDIATYPE -> descriptor, and the file moved into place
  local sum size; sum=$(sha256sum "$1" | cut -c1-64) size=$(stat -c %s "$1")
  mv "$1" "$work/oci/blobs/sha256/$sum"
  printf '{"mediaType":"%s","digest":"sha256:%s","size":%s}' "$2" "$sum" "$size"
}
tar -C "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$work/layer" .
diff_id=sha256:$(sha256sum "$work/layer" | cut -c1-64)
layer=$(blob "$work/layer" application/vnd.oci.image.layer.v1.tar)
jq -n --arg diff "$diff_id" --arg arch "$arch" --arg user "${IMAGE_USER:-65532}" '{architecture: $arch, os: "linux",
  config: {User: $user, Env: ["PATH=/usr/bin:/bin:/"], Entrypoint: $ARGS.positional, WorkingDir: "/"},
  rootfs: {type: "layers", diff_ids: [$diff]}}' --args -- "$@" >"$work/config"
config=$(blob "$work/config" application/vnd.oci.image.config.v1+json)
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' \
  "$config" "$layer" >"$work/manifest"
manifest=$(blob "$work/manifest" application/vnd.oci.image.manifest.v1+json)
jq -n --argjson m "$manifest" --arg ref "$ref" '{schemaVersion: 2, manifests: [$m +
  {annotations: {"io.containerd.image.name": $ref, "org.opencontainers.image.ref.name": $ref}}]}' >"$work/oci/index.json"
echo '{"imageLayoutVersion":"1.0.0"}' >"$work/oci/oci-layout"
mkdir -p "$(dirname "$out")"
tar -C "$work/oci" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$out" .
