#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the Debian package: deb.sh COMMAND EFI-FOLDER OUTPUT-FOLDER
#
# COMMAND is the program for arm64, EFI-FOLDER has baton.efi and baton-driver.efi. The same files make the same
# package: its times are those of the last change.
set -eu
here=$(dirname "$0")
. "$here/../host/common.sh"

command=$1
efi=$2
output=$3
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' "$here/../../Cargo.toml")
[ -n "$version" ] || die "Cargo.toml has no version"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
# An address of RFC 2606: Baton has no mailing list.
maintainer='The Baton authors <baton@baton.example>'

root=$output/root
rm -rf "$root"
# put FILE MODE TO
put() {
	install -D -m "$2" "$1" "$root/$3"
}
# put_packed FILE TO
put_packed() {
	mkdir -p "$root/$(dirname "$2")"
	gzip -9n <"$1" >"$root/$2"
	chmod 644 "$root/$2"
}

put "$command" 755 usr/sbin/baton
put "$efi/baton.efi" 644 usr/lib/baton/baton.efi
put "$efi/baton-driver.efi" 644 usr/lib/baton/baton-driver.efi
# One file is an arm64 Image and an EFI application at once.
ln -s baton.efi "$root/usr/lib/baton/baton.img"
put_packed "$here/man/baton.8" usr/share/man/man8/baton.8.gz
put_packed "$here/man/baton-options.7" usr/share/man/man7/baton-options.7.gz
put "$here/deb/copyright" 644 usr/share/doc/baton/copyright
put_packed "$here/../../CHANGELOG.md" usr/share/doc/baton/NEWS.gz
put "$here/deb/lintian-overrides" 644 usr/share/lintian/overrides/baton
sed -i 's/^[a-z]/baton: &/' "$root/usr/share/lintian/overrides/baton"
{
	echo "baton ($version) unstable; urgency=medium"
	echo
	echo "  * See NEWS.gz."
	echo
	echo " -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")"
} >"$output/changelog"
put_packed "$output/changelog" usr/share/doc/baton/changelog.gz
for event in kernel/postinst kernel/postrm initramfs/post-update; do
	put "$here/deb/kernel-hook" 755 "etc/$event.d/zzz-baton"
done

mkdir -p "$root/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@MAINTAINER@/$maintainer/" \
	-e "s/@SIZE@/$(du -k -s --apparent-size "$root" | cut -f 1)/" "$here/deb/control" >"$root/DEBIAN/control"
(cd "$root" && find etc -type f | sort | sed 's|^|/|') >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f | LC_ALL=C sort | xargs md5sum) >"$root/DEBIAN/md5sums"
install -m 755 "$here/deb/prerm" "$root/DEBIAN/prerm"
find "$root" -type d -exec chmod 755 {} +

package=$output/baton_${version}_arm64.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
rm -rf "$root" "$output/changelog"
echo "  $package"
