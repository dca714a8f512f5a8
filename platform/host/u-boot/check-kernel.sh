#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-kernel.sh FILE: fails, and says what to do, if the guest's kernel is packed.
set -eu
here=$(dirname "$0")
. "$here/../common.sh"

[ -f "$1" ] || die "no kernel $1"
case $(od -An -tx1 -N8 "$1" | tr -d ' \n') in
1f8b*) die "$1 is packed (gzip), a raw arm64 Image is needed: gzip -dc $1 >Image" ;;
28b52ffd*) die "$1 is packed (zstd), a raw arm64 Image is needed: zstd -dc $1 >Image" ;;
4d5a00007a696d67) die "$1 is an EFI zboot file, a raw arm64 Image is needed: it is packed in there" ;;
esac
