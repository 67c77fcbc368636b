//! Which tree of a run is in play.

use assay_machine::{Level, TRACE_LEAVES};

/// A stretch of a run that one tree commits to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    level: Level,
    position: u32,
}

impl Segment {
    /// The whole run.
    pub const WHOLE: Segment = Segment { level: Level::Top, position: 0 };

    /// The tree at a level (0 top, 1 middle, 2 bottom) and a position: 0; i; i 2^15 + j. `None` if
    /// there is none.
    pub fn new(level: u8, position: u32) -> Option<Self> {
        let (level, count) = match level {
            0 => (Level::Top, 1),
            1 => (Level::Middle, TRACE_LEAVES),
            2 => (Level::Bottom, TRACE_LEAVES * TRACE_LEAVES),
            _ => return None,
        };
        (position < count).then_some(Segment { level, position })
    }

    /// How fine its tree is.
    pub fn level(self) -> Level {
        self.level
    }

    /// Its place among the trees of its level.
    pub fn position(self) -> u32 {
        self.position
    }

    /// The step at which it starts.
    pub fn start(self) -> u64 {
        u64::from(self.position) * self.level.segment()
    }

    /// The segment that refines one of its leaves; `None` at the bottom.
    pub fn refined(self, leaf: u32) -> Option<Segment> {
        let level = match self.level {
            Level::Top => Level::Middle,
            Level::Middle => Level::Bottom,
            Level::Bottom => return None,
        };
        Some(Segment { level, position: self.position * TRACE_LEAVES + leaf })
    }
}
