// SPDX-License-Identifier: Apache-2.0
//! By what a shim knows whether the image was revoked: its section `.sbat` (shim, SBAT.md).

/// The format, and the image: component, generation, vendor, package, version, where to ask. The generation is
/// raised by each release that mends a way around Secure Boot.
const SBAT: &str = concat!(
    "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n",
    "baton,1,Baton,baton,",
    env!("CARGO_PKG_VERSION"),
    ",SECURITY.md\n"
);

#[used]
#[unsafe(link_section = ".sbat")]
static SECTION: [u8; SBAT.len()] = {
    let (text, mut section, mut at) = (SBAT.as_bytes(), [0; SBAT.len()], 0);
    while at < text.len() {
        section[at] = text[at];
        at += 1;
    }
    section
};
