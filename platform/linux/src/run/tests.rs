// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::check::tests::server;
use crate::evidence::fake;
use crate::image;
use crate::plan::fake::Programs;
use crate::root::fake::System;
use clap::Parser;

const TABLE: &str = "/sys/firmware/acpi/tables/BATN";

/// What a call prints, what it runs, and how it ends.
fn call(system: &System, words: &[&str]) -> (String, Vec<String>, Result<u8, String>) {
    let root = system.root().path("/");
    let root = root.to_str().expect("a path");
    let line = [&["baton", "--root", root], words].concat();
    let arguments = Arguments::try_parse_from(line).expect("a command line");
    let (mut programs, mut out) = (Programs::default(), Vec::new());
    let end = run(&arguments, &mut programs, &mut out).map_err(|error| error.to_string());
    (String::from_utf8(out).expect("text"), programs.calls, end)
}

fn fit() -> System {
    server()
        .with(
            "/boot/vmlinuz-6.1.0-56-arm64",
            image::tests::image(0x2000, 0x5000, 2),
        )
        .with(image::MONITOR, image::tests::image(0x1000, 0x30_0000, 1))
        .with("/run/utmp", "")
        .with("/proc/self/status", "Name:\tbaton\nUid:\t0\t0\t0\t0\n")
}

#[test]
fn a_dry_run_says_all_and_does_nothing() {
    let system = fit();
    let before = system.files();
    let (text, calls, end) = call(&system, &["try", "--dry-run"]);
    assert_eq!((calls.len(), end), (0, Ok(0)));
    assert!(text.contains("ok    GIC          GICv3"), "{text}");
    assert!(
        text.contains("would do, in this order:\n  write /run/baton-try.img: "),
        "{text}"
    );
    assert!(
        text.ends_with("  run kexec -e\na reset of the machine undoes it\n"),
        "{text}"
    );
    assert_eq!(system.files(), before);
}

#[test]
fn an_obstacle_is_told_last_and_in_one_line() {
    let system = fit();
    system.put(
        "/sys/kernel/security/lockdown",
        "none [integrity] confidentiality",
    );
    let (text, calls, end) = call(&system, &["try"]);
    let why = end.expect_err("locked down");
    assert!(
        why.starts_with("the kernel is locked down (integrity)"),
        "{why}"
    );
    assert!(
        text.contains("STOP  lockdown     the kernel is locked down"),
        "{text}"
    );
    assert_eq!(calls, [""; 0]);
}

#[test]
fn who_is_not_root_changes_nothing() {
    let system = fit();
    system.put("/proc/self/status", "Uid:\t1000\t1000\t1000\t1000\n");
    let before = system.files();
    for words in [
        &["try"][..],
        &["try", "-n"],
        &["install"],
        &["install", "-n"],
        &["install", "--confirm"],
        &["uninstall"],
        &["uninstall", "-n"],
        &["kexec"],
    ] {
        let (_, calls, end) = call(&system, words);
        assert_eq!(
            end,
            Err("this needs root: run it with sudo".into()),
            "{words:?}"
        );
        assert_eq!(calls, [""; 0]);
    }
    let needs_none = [
        (&["kexec", "-n"][..], 0),
        (&["uninstall", "--check"], 1),
        (&["status"], 2),
    ];
    for (words, code) in needs_none {
        assert_eq!(call(&system, words).2, Ok(code), "{words:?}");
    }
    assert_eq!(system.files(), before);
}

#[test]
fn report_and_log_are_of_baton_alone() {
    for words in [&["report"][..], &["report", "--json"], &["log"]] {
        let (_, _, end) = call(&fit(), words);
        assert_eq!(
            end,
            Err("this kernel runs without Baton: there is no report, and no log".into())
        );
    }
    assert_eq!(call(&fit(), &["status"]).2, Ok(2));
}

#[test]
fn report_is_text_json_or_a_drawing() {
    let system = fit().with(TABLE, fake::table(Some(&fake::times()), "", &["a line"]));
    assert!(
        call(&system, &["report"])
            .0
            .starts_with("reboot 2 by kernel_kexec(): ")
    );
    let json = call(&system, &["report", "--json"]).0;
    assert!(json.contains("\"entered\": 310.0,"), "{json}");
    let file = system.root().path("/drawing.svg");
    let (text, _, end) = call(
        &system,
        &["report", "--gantt", file.to_str().expect("a path")],
    );
    assert_eq!((text.as_str(), end), ("", Ok(0)));
    assert!(
        system
            .root()
            .text("/drawing.svg")
            .expect("a drawing")
            .starts_with("<svg ")
    );
    assert_eq!(call(&system, &["log"]).0, "a line\n");
}

#[test]
fn before_the_first_reboot_json_is_null() {
    let system = fit().with(TABLE, fake::table(None, "", &[]));
    assert_eq!(call(&system, &["report", "--json"]).0, "null\n");
    let (_, _, end) = call(&system, &["report", "--gantt", "/nowhere"]);
    assert_eq!(end, Err("no reboot yet: nothing to draw".into()));
}

#[test]
fn package_may_ask_whether_it_is_installed() {
    let (text, _, end) = call(&fit(), &["uninstall", "--check"]);
    assert_eq!((text.as_str(), end), ("", Ok(1)));
}

/// Whatever the bytes of a table are, what is said of them ends.
#[test]
fn a_table_of_any_bytes_is_read_or_refused() {
    let whole = fake::table(Some(&fake::times()), "wait=20", &["hooks: none"]);
    let system = fit();
    let drawing = system.root().path("/drawing.svg");
    let drawing = drawing.to_str().expect("a path");
    let mut state = 1_u64;
    for _ in 0..300 {
        let mut table = whole.clone();
        for _ in 0..8 {
            // Knuth's numbers (MMIX); the low bits are the poorest.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Behind the header of ACPI, half of them in the times.
            let at = match state >> 63 {
                0 => 36 + (state >> 33) as usize % (table.len() - 36),
                _ => table.len() - 1 - (state >> 33) as usize % 300,
            };
            table[at] = (state >> 25) as u8;
        }
        table[9] = table[9].wrapping_sub(baton_core::acpi::sum(&table));
        system.put(TABLE, &table);
        for words in [
            &["report"][..],
            &["report", "--json"],
            &["report", "--gantt", drawing],
            &["status"],
            &["status", "--json"],
            &["log"],
        ] {
            // A table that has no reboot in it has no drawing.
            let (_, _, end) = call(&system, words);
            assert!(
                end.is_ok() || words[1..] == ["--gantt", drawing],
                "{words:?}: {end:?}"
            );
        }
    }
}
