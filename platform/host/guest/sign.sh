#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Signs for Secure Boot, as docs/uefi.md says: sign.sh KEYS [INPUT OUTPUT]
#
# KEYS is the folder of the machine owner's key, which is made if it is not there: MOK.key, and its certificate
# as sbsign (MOK.crt) and mokutil (MOK.der) want it. INPUT is a PE file, OUTPUT the same with a signature; one
# that is newer is not made again.
set -eu
here=$(dirname "$0")
. "$here/../common.sh"

keys=$1

make_key() (
	cd "$1"
	openssl req -new -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=Baton/' -keyout MOK.key -out MOK.crt
	openssl x509 -in MOK.crt -outform DER -out MOK.der
)

if [ ! -d "$keys" ]; then
	mkdir -p "$(dirname "$keys")"
	work=$(mktemp -d "$keys.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	step 'openssl: a key for Secure Boot' make_key "$work"
	mv -T "$work" "$keys"
fi
[ $# -gt 1 ] || exit 0
[ ! "$3" -nt "$2" ] || [ ! "$3" -nt "$keys/MOK.key" ] || exit 0
mkdir -p "$(dirname "$3")"
sbsign --key "$keys/MOK.key" --cert "$keys/MOK.crt" --output "$3" "$2" 2>/dev/null ||
	die "sbsign does not sign $2"
