// SPDX-License-Identifier: Apache-2.0
use super::super::{install, installed, uninstall};
use super::*;
use crate::check::tests::server;
use crate::image::tests::image;
use crate::plan::fake::Programs;
use crate::root::fake::System;
use crate::{bootscript, extlinux};
use std::fs;

const MENU: &str = "default l0\n\nlabel l0\n\tlinux /boot/vmlinuz-1\n\tappend quiet\n";

fn board() -> System {
    server()
        .with(extlinux::FILE, MENU)
        .with("/boot/vmlinuz-1", image(0x2000, 0x5000, 2))
        .with(MONITOR, image(0x1000, 0x30_0000, 1))
}

fn done(system: &System, work: Result<Work, Error>) {
    let plan = work.expect("a plan").plan;
    plan.execute(&system.root(), &mut Programs::default())
        .expect("done");
}

#[test]
fn is_installed_confirmed_and_gone_again() {
    let system = board();
    let before = system.files();
    done(&system, install(&system.root(), Wish::Once));
    let text = system.root().text(extlinux::FILE).expect("a menu");
    assert!(text.starts_with("default l0\n"), "{text}");
    assert!(
        text.contains("\tlinux /boot/baton/baton-linux.img\n\tappend quiet\n"),
        "{text}"
    );
    assert!(system.root().exists(IMAGE));
    assert_eq!(installed(&system.root()).as_deref(), Some(extlinux::FILE));
    let again = install(&system.root(), Wish::Once).expect("a plan");
    assert_eq!(again.plan, Plan::default(), "{}", again.plan);

    let table = crate::evidence::fake::table(None, "", &[]);
    system.put("/sys/firmware/acpi/tables/BATN", table);
    done(&system, install(&system.root(), Wish::Confirm));
    let text = system.root().text(extlinux::FILE).expect("a menu");
    assert!(text.contains("\ndefault baton\n"), "{text}");
    let again = install(&system.root(), Wish::Confirm).expect("a plan");
    assert_eq!(again.plan, Plan::default(), "{}", again.plan);

    fs::remove_file(system.root().path("/sys/firmware/acpi/tables/BATN")).expect("a table");
    done(&system, uninstall(&system.root()));
    assert_eq!(system.files(), before);
    assert!(!system.root().exists(FOLDER));
    assert_eq!(
        uninstall(&system.root()).expect("a plan").plan,
        Plan::default()
    );
}

#[test]
fn a_new_kernel_is_followed_where_baton_is_installed_and_nowhere_else() {
    let system = board();
    let refreshed = install(&system.root(), Wish::Refresh).expect("a plan");
    assert_eq!(refreshed.plan, Plan::default());
    done(&system, install(&system.root(), Wish::Once));
    // u-boot-menu writes the menu anew.
    system.put("/boot/vmlinuz-2", image(0x3000, 0x6000, 3));
    system.put(extlinux::FILE, MENU.replace("vmlinuz-1", "vmlinuz-2"));
    done(&system, install(&system.root(), Wish::Refresh));
    let text = system.root().text(extlinux::FILE).expect("a menu");
    assert!(extlinux::has_baton(&text), "{text}");
    let image = system.root().bytes(IMAGE).expect("an image");
    assert!(image.ends_with(&[3; 0x100]), "the new kernel is in it");
}

#[test]
fn says_what_is_missing() {
    let system = board();
    system.put(extlinux::FILE, "default l0\n");
    let error = install(&system.root(), Wish::Once)
        .expect_err("no kernel")
        .to_string();
    assert!(
        error.ends_with("has no entry with a kernel as its default"),
        "{error}"
    );
    system.put(extlinux::FILE, MENU.replace("vmlinuz-1", "vmlinuz-9"));
    let error = install(&system.root(), Wish::Once)
        .expect_err("no kernel")
        .to_string();
    assert!(
        error.ends_with("starts /boot/vmlinuz-9, and there is no /boot/vmlinuz-9"),
        "{error}"
    );
}

const TEXT: &str =
    "setenv v 1\nload mmc 0:1 ${kernel_addr_r} ${prefix}vmlinuz-${v}\nbooti ${kernel_addr_r}\n";

fn board_with_script() -> System {
    let system = board().with(bootscript::FILE, bootscript::tests::file(TEXT));
    fs::remove_file(system.root().path(extlinux::FILE)).expect("a menu");
    system
}

#[test]
fn script_gets_a_way_with_baton_and_comes_back_byte_for_byte() {
    let system = board_with_script();
    let before = system.files();
    let script = || system.root().bytes(bootscript::FILE).expect("a script");
    let work = install(&system.root(), Wish::Once).expect("a plan");
    assert!(
        work.then
            .starts_with("`setenv baton on; boot` at U-Boot's prompt starts Baton once"),
        "{}",
        work.then
    );
    done(&system, Ok(work));
    assert!(bootscript::has_baton(&script()));
    assert!(system.root().exists(IMAGE));
    assert_eq!(installed(&system.root()).as_deref(), Some(bootscript::FILE));
    let again = install(&system.root(), Wish::Once).expect("a plan");
    assert_eq!(again.plan, Plan::default(), "{}", again.plan);

    let table = crate::evidence::fake::table(None, "", &[]);
    system.put("/sys/firmware/acpi/tables/BATN", table);
    let once = script();
    done(&system, install(&system.root(), Wish::Confirm));
    assert_ne!(script(), once, "it is the default");

    fs::remove_file(system.root().path("/sys/firmware/acpi/tables/BATN")).expect("a table");
    done(&system, uninstall(&system.root()));
    assert_eq!(system.files(), before);
    assert!(!system.root().exists(FOLDER));
}

#[test]
fn a_script_that_was_written_anew_gets_baton_again_and_is_left_alone_without_it() {
    let system = board_with_script();
    done(&system, install(&system.root(), Wish::Once));
    system.put("/boot/vmlinuz-2", image(0x3000, 0x6000, 3));
    let anew = bootscript::tests::file(&TEXT.replace("v 1", "v 2"));
    system.put(bootscript::FILE, &anew);
    done(&system, install(&system.root(), Wish::Refresh));
    let image = system.root().bytes(IMAGE).expect("an image");
    assert!(image.ends_with(&[3; 0x100]), "the new kernel is in it");
    let script = system.root().bytes(bootscript::FILE).expect("a script");
    assert!(bootscript::has_baton(&script));

    system.put(bootscript::FILE, &anew);
    done(&system, uninstall(&system.root()));
    assert_eq!(system.root().bytes(bootscript::FILE), Some(anew));
    assert!(!system.root().exists(FOLDER));
}

#[test]
fn a_script_that_starts_another_thing_is_refused_and_left() {
    let system = board_with_script();
    for (script, expected) in [
        (
            b"no script".to_vec(),
            "/boot/boot.scr: it is no script of U-Boot's: ",
        ),
        (
            bootscript::tests::file("bootm ${addr}"),
            "it loads no file that is called vmlinuz or Image",
        ),
        (
            bootscript::tests::file(&TEXT.replace("v 1", "v 9")),
            "/boot/boot.scr starts vmlinuz-9, and there is no /boot/vmlinuz-9",
        ),
    ] {
        system.put(bootscript::FILE, script);
        let before = system.files();
        let error = install(&system.root(), Wish::Once)
            .expect_err("refused")
            .to_string();
        assert!(
            error.contains(expected),
            "expected {expected:?}, seen {error:?}"
        );
        assert_eq!(system.files(), before);
    }
}

#[test]
fn says_how_to_choose() {
    let system = board();
    let then = |wish| install(&system.root(), wish).expect("a plan").then;
    let expected = "`setenv pxe_label_override baton; boot` at U-Boot's prompt starts Baton once";
    assert!(
        then(Wish::Once).starts_with(expected),
        "{}",
        then(Wish::Once)
    );
    system.put(extlinux::FILE, format!("prompt 1\n{MENU}"));
    let expected = "\"Baton\" in U-Boot's menu starts Baton once";
    assert!(
        then(Wish::Once).starts_with(expected),
        "{}",
        then(Wish::Once)
    );
    let table = crate::evidence::fake::table(None, "", &[]);
    system.put("/sys/firmware/acpi/tables/BATN", table);
    let expected =
        "; `setenv pxe_label_override l0; boot` at U-Boot's prompt starts once without it";
    assert!(
        then(Wish::Confirm).ends_with(expected),
        "{}",
        then(Wish::Confirm)
    );
}
