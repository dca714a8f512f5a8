// SPDX-License-Identifier: Apache-2.0
use super::*;

const TEXT: &str =
    "setenv v 1\nload mmc 0:1 ${kernel_addr_r} ${prefix}vmlinuz-${v}; booti ${kernel_addr_r}\n";

/// A file as mkimage makes it.
pub fn file(text: &str) -> Vec<u8> {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&MAGIC.to_be_bytes());
    header[TYPE] = SCRIPT;
    header[32..39].copy_from_slice(b"a board");
    let mut file = assemble(&header, &[text.as_bytes()]);
    // It fills up no single script.
    let data = 8 + text.len();
    file.truncate(HEADER + data);
    seal(&mut file);
    file
}

/// Mends the sizes and the checksums of a file.
fn seal(file: &mut [u8]) {
    let size = (file.len() - HEADER) as u32;
    file[DATA_SIZE..][..4].copy_from_slice(&size.to_be_bytes());
    let crc = crc32fast::hash(&file[HEADER..]);
    file[DATA_CRC..][..4].copy_from_slice(&crc.to_be_bytes());
    let crc = header_crc(&file[..HEADER]);
    file[HEADER_CRC..][..4].copy_from_slice(&crc.to_be_bytes());
}

#[test]
fn baton_is_put_in_and_comes_out_byte_for_byte() {
    let before = file(TEXT);
    assert_eq!(present(&before).as_deref(), Ok("vmlinuz-1"));
    assert!(!has_baton(&before));
    assert_eq!(without(&before), before);
    for is_default in [false, true] {
        let with_it = with(&before, "baton.img", is_default).expect("a script");
        assert!(has_baton(&with_it));
        assert_eq!(present(&with_it).as_deref(), Ok("vmlinuz-1"));
        assert_eq!(without(&with_it), before);
        let twice = with(&with_it, "baton.img", is_default);
        assert_eq!(twice.as_ref(), Ok(&with_it));
        let text = script(&with_it).expect("a text");
        assert!(text.contains("${prefix}baton.img; booti"), "{text}");
        assert!(text.ends_with(&format!("\n{TEXT}")), "{text}");
    }
}

/// The script `true`, by mkimage 2023.01 with SOURCE_DATE_EPOCH=0: words of it, but for the line's end.
const MADE: [u32; 19] = [
    0x2705_1956,
    0xbc26_0415,
    0,
    13,
    0,
    0,
    0x8e5c_7f99,
    0x0516_0600,
    0x6120_626f,
    0x6172_6400,
    0,
    0,
    0,
    0,
    0,
    0,
    5,
    0,
    0x7472_7565,
];

#[test]
fn format_is_that_of_mkimage() {
    let mut made: Vec<u8> = MADE.iter().flat_map(|word| word.to_be_bytes()).collect();
    made.push(b'\n');
    assert_eq!(script(&made).as_deref(), Ok("true\n"));
    let mut own = file("true\n");
    own[28..30].copy_from_slice(&made[28..30]);
    seal(&mut own);
    assert_eq!(own, made);
}

#[test]
fn a_file_that_is_damaged_is_refused() {
    let whole = file(TEXT);
    type Damage = fn(&mut Vec<u8>);
    let cases: [(Damage, &str); 6] = [
        (|file| file.truncate(63), "it is shorter than a header"),
        (|file| file[0] ^= 1, "its header begins with another number"),
        (|file| file[TYPE] = 2, "its header is of something else"),
        (|file| file[40] ^= 1, "its header has another checksum"),
        (|file| file[HEADER + 20] ^= 1, "it has another checksum"),
        (
            |file| {
                file.truncate(HEADER + 20);
                seal(file);
            },
            "a component is cut off",
        ),
    ];
    for (damage, expected) in cases {
        let mut file = whole.clone();
        damage(&mut file);
        assert_eq!(present(&file), Err(ScriptError::Format(expected)));
        assert!(!has_baton(&file));
    }
    let mut short = whole.clone();
    short.pop();
    assert_eq!(present(&short), Err(ScriptError::Format("it is cut off")));
}
