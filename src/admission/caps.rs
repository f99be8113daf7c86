//! Caps that a call brings along: the API server sends every call to the path of the configuration that is in force, so that
//! a change of the mode holds on all replicas at once, also on those that are going away.

use std::sync::Arc;

use crate::model::house::{House, Level};
use crate::review::World;

/// The highest levels of findings, as a call states them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// For all findings.
    pub mode: Level,
    /// For findings about pods that a controller makes.
    pub from_controllers: Level,
}

impl Caps {
    /// Reads `/mode/LEVEL/from-controllers/LEVEL`.
    pub fn parse(path: &str) -> Option<Self> {
        let (mode, from_controllers) = path.strip_prefix("/mode/")?.split_once("/from-controllers/")?;
        let level = |name: &str| Level::parse(name).filter(|level| *level != Level::Off);
        Some(Self { mode: level(mode)?, from_controllers: level(from_controllers)? })
    }
}

/// The world under the caps of a call. They differ from its own for as long as a replica runs that was started with another
/// mode.
pub(super) fn capped(world: Arc<World>, caps: Option<Caps>) -> Arc<World> {
    let Some(Caps { mode, from_controllers }) = caps else { return world };
    if (world.house.cap, world.house.from_controllers) == (mode, from_controllers) {
        return world;
    }
    let house = House { cap: mode, from_controllers, ..world.house.clone() };
    Arc::new(World { snapshot: world.snapshot.clone(), house })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_caps_is_judged_under_those_of_the_world() {
        let world = Arc::new(World::default());
        let of = |caps| {
            let house = capped(Arc::clone(&world), caps).house.clone();
            (house.cap, house.from_controllers)
        };
        assert_eq!(of(None), (Level::Enforce, Level::Warn));
        assert_eq!(of(Caps::parse("/mode/audit/from-controllers/enforce")), (Level::Audit, Level::Enforce));
    }

    #[test]
    fn both_levels_are_stated_in_full() {
        let caps = Caps { mode: Level::Warn, from_controllers: Level::Enforce };
        assert_eq!(Caps::parse("/mode/warn/from-controllers/enforce"), Some(caps));
        for wrong in [
            "",
            "/",
            "/mode/warn",
            "/mode/off/from-controllers/warn",
            "/mode/warn/from-controllers/",
            "/mode/warn/from-controllers/warn/",
            "/mode/Warn/from-controllers/warn",
            "mode/warn/from-controllers/warn",
        ] {
            assert_eq!(Caps::parse(wrong), None, "{wrong}");
        }
    }
}
