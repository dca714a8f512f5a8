// SPDX-License-Identifier: Apache-2.0
use super::*;
use std::sync::Barrier;
use std::thread;

const START: Start = Start {
    entry: 0x4000_0000,
    context: 7,
};

#[test]
fn first_start_goes_through_firmware() {
    let power = Power::new();
    assert_eq!(power.affinity_info(), AffinityInfo::Off);
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Firmware));
    assert_eq!(power.affinity_info(), AffinityInfo::OnPending);
    assert_eq!(power.turn_on(START, |_| Ok(())), Err(ErrorCode::OnPending));
    assert_eq!(power.take_order(), Order::Begin(START));
    assert_eq!(power.affinity_info(), AffinityInfo::On);
    assert_eq!(power.turn_on(START, |_| Ok(())), Err(ErrorCode::AlreadyOn));
}

#[test]
fn parked_cpu_is_woken() {
    let power = Power::new();
    power.park();
    assert_eq!(power.take_order(), Order::Stay);
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Parked));
    assert_eq!(power.take_order(), Order::Begin(START));
}

#[test]
fn cpu_that_comes_by_itself_is_parked_unless_it_is_claimed() {
    let power = Power::new();
    assert!(!power.is_parked());
    power.park_unless_claimed();
    assert!(power.is_parked());
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Parked));
    power.park_unless_claimed();
    assert_eq!(power.take_order(), Order::Begin(START));
}

#[test]
fn refused_start_can_be_tried_again() {
    let power = Power::new();
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Firmware));
    power.mark_refused();
    assert_eq!(power.affinity_info(), AffinityInfo::Off);
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Firmware));
}

#[test]
fn a_cpu_that_cannot_begin_is_off_in_firmware() {
    let power = Power::new();
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Firmware));
    assert!(power.refuse());
    assert_eq!(power.affinity_info(), AffinityInfo::Off);
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Firmware));
    // A takeover has parked it meanwhile, and CPU_ON is about to have it begin.
    power.park();
    let seen = power.turn_on(START, |_| {
        assert!(!power.refuse(), "expected it to wait for CPU_ON");
        Ok(())
    });
    assert_eq!(seen, Ok(Origin::Parked));
    assert!(power.refuse());
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Firmware));
    // It is parked, and nobody has it begin.
    power.park();
    assert!(power.refuse());
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Firmware));
}

#[test]
fn suspended_cpu_is_on_and_begins_where_it_said() {
    let power = Power::new();
    power.set_on();
    assert!(!power.is_suspended());
    power.suspend(START);
    assert!(power.is_suspended());
    assert_eq!(power.affinity_info(), AffinityInfo::On);
    assert_eq!(power.turn_on(START, |_| Ok(())), Err(ErrorCode::AlreadyOn));
    assert_eq!(power.take_order(), Order::Begin(START));
    assert!(!power.is_suspended());
}

#[test]
fn cpu_on_its_way_off_is_on_but_does_not_stay() {
    let power = Power::new();
    power.set_on();
    assert!(power.stays_on());
    power.mark_going_off();
    assert!(!power.stays_on());
    assert_eq!(power.affinity_info(), AffinityInfo::On);
    assert_eq!(power.turn_on(START, |_| Ok(())), Err(ErrorCode::AlreadyOn));
    power.park();
    assert_eq!(power.affinity_info(), AffinityInfo::Off);
}

#[test]
fn parked_cpu_leaves_once() {
    let power = Power::new();
    power.park();
    assert!(power.tell_to_leave());
    assert!(!power.tell_to_leave());
    assert_eq!(power.take_order(), Order::Leave);
    assert_eq!(power.affinity_info(), AffinityInfo::Off);
    let claimed = |_| panic!("expected no claim before it has left");
    assert_eq!(power.turn_on(START, claimed), Ok(Origin::Leaving));
    assert!(power.mark_left());
    // Firmware does not have it off yet, and the caller gives up.
    let seen = power.turn_on(START, |origin| {
        assert_eq!(origin, Origin::Firmware);
        assert_eq!(power.affinity_info(), AffinityInfo::OnPending);
        Err(ErrorCode::InternalFailure)
    });
    assert_eq!(seen, Err(ErrorCode::InternalFailure));
    assert_eq!(power.affinity_info(), AffinityInfo::Off);
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Firmware));
}

#[test]
fn start_of_a_kernel_that_is_over_is_void() {
    let power = Power::new();
    power.park();
    assert_eq!(
        power.turn_on(START, |_| Err(ErrorCode::Denied)),
        Err(ErrorCode::Denied)
    );
    assert_eq!(power.affinity_info(), AffinityInfo::Off);
    // The CPU is taken for the next kernel while the claim stands.
    let denied = power.turn_on(START, |_| {
        power.park();
        assert_eq!(power.take_order(), Order::Stay);
        assert_eq!(
            power.turn_on(START, |_| Ok(())),
            Err(ErrorCode::OnPending),
            "where it begins is written by one at a time"
        );
        Ok(())
    });
    assert_eq!(denied, Err(ErrorCode::Denied));
    assert_eq!(power.take_order(), Order::Stay);
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Parked));
}

#[test]
fn lost_cpu_is_on_until_it_recovers() {
    let power = Power::new();
    power.set_on();
    power.mark_going_off();
    power.mark_lost();
    power.park();
    assert_eq!(power.affinity_info(), AffinityInfo::On);
    assert_eq!(
        power.turn_on(START, |_| Ok(())),
        Err(ErrorCode::AlreadyOn),
        "it was given up on its way to be parked"
    );
    power.mark_recovered();
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Parked));
}

#[test]
fn cpu_in_firmware_is_not_lost() {
    let power = Power::new();
    assert!(!power.mark_lost());
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Firmware));
    assert!(power.mark_lost());
    assert!(power.mark_refused(), "it was given up meanwhile");
    assert_eq!(power.turn_on(START, |_| Ok(())), Ok(Origin::Firmware));
    assert!(!power.mark_refused(), "nobody gave it up");
    assert!(!power.mark_lost(), "firmware has it");
}

#[test]
fn of_many_callers_one_succeeds() {
    for parked in [false, true] {
        let power = Power::new();
        if parked {
            power.park();
        }
        let together = Barrier::new(8);
        let results: Vec<_> = thread::scope(|scope| {
            let callers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        together.wait();
                        power.turn_on(START, |_| Ok(()))
                    })
                })
                .collect();
            callers
                .into_iter()
                .map(|caller| caller.join().expect("no panic"))
                .collect()
        });
        let successes = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(successes, 1, "{results:?}");
        assert!(
            results
                .iter()
                .all(|r| r.is_ok() || *r == Err(ErrorCode::OnPending)),
            "{results:?}"
        );
    }
}
