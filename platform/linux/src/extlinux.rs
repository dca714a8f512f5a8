// SPDX-License-Identifier: Apache-2.0
//! U-Boot's menu, `extlinux.conf` (U-Boot, doc/develop/distro.rst): an entry for Baton beside the one that
//! starts the system.

/// Where it is.
pub const FILE: &str = "/boot/extlinux/extlinux.conf";
/// Baton's entry is between these lines, behind all others.
const BEGIN: &str = "# baton: begin";
const END: &str = "# baton: end";
/// The first, where the line before it had no end.
const JOINED: &str = "# baton: begin, behind a line without an end";
/// Before the line that it replaces.
const WAS: &str = "# baton: was ";
const LABEL: &str = "baton";

/// The entry that starts the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present<'a> {
    /// Its lines, without the first.
    lines: Vec<&'a str>,
    /// Its kernel, as U-Boot finds it.
    pub kernel: &'a str,
}

/// Returns whether Baton has an entry.
pub fn has_baton(conf: &str) -> bool {
    conf.lines().any(|line| [BEGIN, JOINED].contains(&line))
}

/// Returns what stands against an entry of Baton's in this menu, if anything does.
pub fn obstacle(conf: &str) -> Option<&'static str> {
    let count = |mark: &str| conf.lines().filter(|&line| line == mark).count();
    if count(BEGIN) + count(JOINED) != count(END) {
        return Some(
            "Baton's entry has lost its first or last line (# baton: begin, # baton: end): remove it by hand",
        );
    }
    let others = without(conf);
    let is_label = |line: &str| split(line) == ("label".into(), LABEL);
    others.lines().any(is_label).then_some(
        "an entry that is not of this command is called baton: rename or remove it first",
    )
}

/// Returns the keyword of a line, in small letters, and its value.
fn split(line: &str) -> (String, &str) {
    let line = line.trim();
    let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (key.to_ascii_lowercase(), value.trim())
}

/// Returns the label that is started if nobody chooses: by name, marked in the menu, or the first.
pub fn default(conf: &str) -> Option<&str> {
    let (mut label, mut first, mut marked) = (None, None, None);
    for (key, value) in conf.lines().map(split) {
        match key.as_str() {
            "default" => return Some(value),
            "label" => {
                label = Some(value);
                first = first.or(label);
            }
            "menu" if value.eq_ignore_ascii_case("default") => marked = marked.or(label),
            _ => {}
        }
    }
    marked.or(first)
}

/// Returns the entry that starts the system; `None` if there is none with a kernel.
pub fn present(conf: &str) -> Option<Present<'_>> {
    let label = default(conf)?;
    let is_start = |line: &&str| split(line) == ("label".into(), label);
    let start = conf.lines().position(|line| is_start(&line))?;
    let lines = conf.lines().skip(start + 1);
    let lines: Vec<&str> = lines.take_while(|line| split(line).0 != "label").collect();
    let kernel = lines.iter().map(|line| split(line)).find(is_kernel)?.1;
    Some(Present { lines, kernel })
}

fn is_kernel((key, value): &(String, &str)) -> bool {
    matches!(key.as_str(), "linux" | "kernel") && !value.is_empty()
}

/// Returns whether U-Boot shows the menu, and waits for a choice.
pub fn asks(conf: &str) -> bool {
    let mut prompts = conf.lines().map(split).filter(|(key, _)| key == "prompt");
    let number = prompts.next().and_then(|(_, value)| value.parse().ok());
    number.is_some_and(|number: u32| number != 0)
}

/// Returns the menu without Baton, byte for byte as it was.
pub fn without(conf: &str) -> String {
    let mut menu = String::new();
    let mut inside = false;
    let mut restored = false;
    for line in conf.split_inclusive('\n') {
        match line.trim_end_matches('\n') {
            BEGIN => inside = true,
            JOINED => {
                inside = true;
                // The end of the line before is Baton's.
                menu.pop();
            }
            END => inside = false,
            _ if inside => {}
            text => match line.strip_prefix(WAS) {
                Some(was) => {
                    let had_none = text.len() == WAS.len();
                    menu.push_str(if had_none { "" } else { was });
                    restored = true;
                }
                None if restored => restored = false,
                None => menu.push_str(line),
            },
        }
    }
    menu
}

/// Returns the menu with an entry that starts `image` as the one that starts the system, which is started if
/// nobody chooses if it is to be the `default`. `None` if nothing starts the system.
pub fn with(conf: &str, image: &str, is_default: bool) -> Option<String> {
    let conf = without(conf);
    let entry = entry(&present(&conf)?, image);
    let mut lines: Vec<String> = conf.split_inclusive('\n').map(str::to_owned).collect();
    let mut begin = BEGIN;
    if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
        last.push('\n');
        begin = JOINED;
    }
    if is_default {
        let default = format!("default {LABEL}\n");
        match lines.iter().position(|line| split(line).0 == "default") {
            Some(at) => lines[at] = format!("{WAS}{}{default}", lines[at]),
            None => lines.insert(0, format!("{WAS}\n{default}")),
        }
    }
    Some(format!("{}{begin}\n{entry}{END}\n", lines.concat()))
}

/// Returns the entry that starts `image` as `present` its kernel.
fn entry(present: &Present, image: &str) -> String {
    let mut entry = Vec::new();
    let mut title = None;
    for line in &present.lines {
        let (key, value) = split(line);
        let indent = &line[..line.len() - line.trim_start().len()];
        if is_kernel(&(key.clone(), value)) {
            entry.push(format!("{indent}{key} {image}"));
        } else if key == "menu" && value.to_ascii_lowercase().starts_with("label") {
            let other = &value["label".len()..].trim();
            title = Some(format!("{indent}menu label Baton, and then {other}"));
        } else if key == "menu" || key.is_empty() || key.starts_with('#') {
            // What marks the default in a menu stays with the other.
        } else {
            entry.push((*line).to_owned());
        }
    }
    let title = title.unwrap_or("\tmenu label Baton".into());
    format!("label {LABEL}\n{title}\n{}\n", entry.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Debian's u-boot-menu writes it.
    pub const MENU: &str = "\
## /boot/extlinux/extlinux.conf
default l0
menu title U-Boot menu
prompt 1
timeout 50


label l0
\tmenu label Debian GNU/Linux 12 6.1.0-56-arm64
\tlinux /boot/vmlinuz-6.1.0-56-arm64
\tinitrd /boot/initrd.img-6.1.0-56-arm64
\tfdtdir /usr/lib/linux-image-6.1.0-56-arm64/

\tappend root=/dev/vda2 quiet

label l0r
\tmenu label Debian GNU/Linux 12 (rescue)
\tlinux /boot/vmlinuz-6.1.0-56-arm64
\tappend root=/dev/vda2 single
";

    const IMAGE: &str = "/boot/baton/baton-linux.img";

    #[test]
    fn entry_is_the_one_that_starts_the_system_but_for_the_kernel() {
        let with = with(MENU, IMAGE, false).expect("an entry");
        let expected = format!(
            "{MENU}# baton: begin
label baton
\tmenu label Baton, and then Debian GNU/Linux 12 6.1.0-56-arm64
\tlinux {IMAGE}
\tinitrd /boot/initrd.img-6.1.0-56-arm64
\tfdtdir /usr/lib/linux-image-6.1.0-56-arm64/
\tappend root=/dev/vda2 quiet
# baton: end
"
        );
        assert_eq!(with, expected);
        assert!(has_baton(&with) && !has_baton(MENU));
    }

    #[test]
    fn a_confirmed_one_is_the_default_and_the_menu_comes_back_as_it_was() {
        let short = "LABEL linux\nKERNEL /Image\n";
        let crlf = MENU.replace('\n', "\r\n");
        for menu in [
            MENU,
            short,
            "label a\nkernel /Image",
            "label a\nkernel /Image\ndefault a",
            &crlf,
        ] {
            for is_default in [false, true] {
                let once = with(menu, IMAGE, is_default).expect("an entry");
                assert_eq!(
                    with(&once, IMAGE, is_default).as_deref(),
                    Some(once.as_str()),
                    "twice"
                );
                assert_eq!(default(&once) == Some(LABEL), is_default, "{once}");
                assert_eq!(without(&once), menu, "{once}");
                assert!(has_baton(&once) && !has_baton(menu));
            }
        }
        assert_eq!(without(MENU), MENU);
    }

    #[test]
    fn what_is_not_batons_is_not_touched() {
        let both = with(MENU, IMAGE, true).expect("an entry");
        for menu in [MENU, &both] {
            assert_eq!(obstacle(menu), None);
        }
        let foreign = format!("{MENU}LABEL baton\n\tlinux /Image\n");
        assert!(obstacle(&foreign).is_some_and(|why| why.contains("is called baton")));
        let cut = both.replace(END, "") + "label l1\n\tlinux /Image\n";
        assert!(obstacle(&cut).is_some_and(|why| why.contains("first or last line")));
    }

    #[test]
    fn default_is_named_or_marked_or_the_first() {
        let labels = "label a\n\tlinux /a\nlabel b\n\tmenu default\n\tlinux /b\n";
        assert_eq!(default(labels), Some("b"));
        assert_eq!(default(&labels.replace("menu default", "")), Some("a"));
        assert_eq!(default(&format!("{labels}default a\n")), Some("a"));
        let with = with(labels, IMAGE, true).expect("an entry");
        assert_eq!(
            (default(&with), default(&without(&with))),
            (Some(LABEL), Some("b"))
        );
    }

    #[test]
    fn u_boot_asks_where_the_menu_says_so() {
        assert!(asks(MENU));
        assert!(!asks(&MENU.replace("prompt 1", "prompt 0")));
        assert!(!asks(&MENU.replace("prompt 1", "")));
    }

    #[test]
    fn a_menu_that_starts_nothing_gets_no_entry() {
        for menu in [
            "",
            "default x\nlabel y\nlinux /Image\n",
            "label x\nfdt /a.dtb\n",
        ] {
            assert_eq!(with(menu, IMAGE, true), None, "{menu:?}");
        }
        assert_eq!(
            present(MENU).expect("an entry").kernel,
            "/boot/vmlinuz-6.1.0-56-arm64"
        );
    }
}
