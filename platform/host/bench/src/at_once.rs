// SPDX-License-Identifier: Apache-2.0
//! A reboot as it is where CPUs work at once, from one in which they took turns on one host thread.

use crate::timeline::{Lane, Timeline};

impl Timeline {
    /// Returns this timeline, which was taken under `-icount`, with each lane by its own clock: what its CPU
    /// did takes as long as it took that CPU, and begins when the last of what it had to wait for is done.
    ///
    /// How long a CPU is on its way to the monitor is not known, and left out.
    pub fn at_once(&self) -> Self {
        let most =
            |part: fn(&Lane) -> Option<u64>| self.taken().filter_map(part).max().unwrap_or(0);
        let gathered = self.kicked;
        let check = gathered + self.checked_alone;
        let validated = check + most(|lane| Some(lane.checked));
        let phase1 = validated + self.accepting();
        let phase1_end = phase1 + most(|lane| lane.phase1_end?.checked_sub(lane.phase1_start?));
        let phase2_end = phase1_end + self.phase2_end.saturating_sub(self.phase1_end);
        let phase3_end = phase2_end + most(|lane| lane.phase3_end?.checked_sub(lane.phase3_start?));
        let lane = |lane: &Lane| {
            // Of a stretch of this lane that is to begin at `start`: its end.
            let shifted = |time: Option<u64>, from: Option<u64>, start: u64| {
                Some(start + time?.checked_sub(from?)?)
            };
            Lane {
                arrived: lane.arrived.map(|_| gathered),
                check_start: lane.check_start.map(|_| check),
                check_end: lane.check_start.map(|_| check + lane.checked),
                phase1_start: lane.phase1_start.map(|_| phase1),
                phase1_end: shifted(lane.phase1_end, lane.phase1_start, phase1),
                phase3_start: lane.phase3_start.map(|_| phase2_end),
                copy_start: shifted(lane.copy_start, lane.phase3_start, phase2_end),
                copy_end: shifted(lane.copy_end, lane.phase3_start, phase2_end),
                phase3_end: shifted(lane.phase3_end, lane.phase3_start, phase2_end),
                ..lane.clone()
            }
        };
        Self {
            gathered,
            validated,
            phase1_end,
            phase2_end,
            phase3_end,
            entered: phase3_end + self.entered.saturating_sub(self.phase3_end),
            lanes: self.lanes.iter().map(lane).collect(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::timeline::tests::timeline;

    #[test]
    fn each_lane_has_its_own_clock() {
        let seen = timeline().at_once();
        // Kicked at 10; the boot CPU checks 20 ticks alone, and 20 of its part.
        assert_eq!((seen.kicked, seen.gathered, seen.validated), (10, 10, 50));
        // It accepts in 10, and phase 1 takes 80 of its ticks, and 48 of the other CPU's.
        let phase1 = |lane: usize| {
            let lane = &seen.lanes[lane];
            (lane.phase1_start, lane.phase1_end)
        };
        assert_eq!(phase1(0), (Some(60), Some(140)));
        assert_eq!(phase1(1), (Some(60), Some(108)));
        assert_eq!((seen.phase1_end, seen.phase2_end), (140, 180));
        // Phase 3 takes 897 of the second CPU's ticks, of which it copies 880.
        let copy = |lane: usize| (seen.lanes[lane].copy_start, seen.lanes[lane].copy_end);
        assert_eq!(copy(0), (Some(189), Some(939)));
        assert_eq!(copy(1), (Some(188), Some(1068)));
        assert_eq!((seen.phase3_end, seen.entered), (1077, 1127));
    }

    #[test]
    fn a_cpu_that_took_no_part_has_no_times() {
        let seen = timeline().at_once();
        let lane = &seen.lanes[2];
        assert_eq!(
            (lane.arrived, lane.phase1_start, lane.copy_end),
            (None, None, None)
        );
    }
}
