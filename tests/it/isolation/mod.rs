//! A hostile task against another task, that task's credentials, and the instance.
//!
//! An attack is one entry of a table ([`Attack`]) in the file of its topic: what it is called, how the
//! instance is made worth it, and how it is done. Each is tried on the relaxed bridge first, where it
//! must succeed, then behind each defence, where it must not.

mod answers;
mod arena;
mod eavesdropping;
mod impersonation;
mod instance;
mod ipv6;
mod limits;
mod metadata;
mod other_task;
mod own_eni;
mod routing;
mod scan;
mod vlan;

use arena::{Arena, Defence};
use std::time::Duration;

/// One way to break out.
pub struct Attack {
    /// What it is called when it does what it should not.
    pub name: &'static str,
    /// Whether the flags of the bridge's ports stop it by themselves, without any nftables rule.
    pub flags_stop_it: bool,
    /// Makes the instance worth it.
    pub stage: fn(&Arena),
    /// Tries it; true if it succeeds.
    pub strike: fn(&Arena) -> bool,
}

/// How long an attack that shall fail is waited for: frames on a veth arrive before `send` returns.
const SOON: Duration = Duration::from_millis(200);
/// How long one that shall succeed is waited for, on a busy machine.
const LATE: Duration = Duration::from_secs(10);

impl Attack {
    /// One that needs nothing prepared.
    const fn new(name: &'static str, flags_stop_it: bool, strike: fn(&Arena) -> bool) -> Self {
        Self { name, flags_stop_it, stage: |_| {}, strike }
    }

    /// The same, on an instance that is made worth it like this.
    const fn staged(self, stage: fn(&Arena)) -> Self {
        Self { stage, ..self }
    }
}

/// An attack that the flags of the bridge's ports stop by themselves.
const fn stopped_by_flags(name: &'static str, strike: fn(&Arena) -> bool) -> Attack {
    Attack::new(name, true, strike)
}

/// An attack that takes more than the flags of the bridge's ports to stop.
const fn not_stopped_by_flags(name: &'static str, strike: fn(&Arena) -> bool) -> Attack {
    Attack::new(name, false, strike)
}

/// Shows that each attack succeeds on the relaxed bridge and fails on the default one; that it also fails
/// where the kernel has no locked ports; and what the flags of the ports do by themselves. More of
/// `[credentials]` may be given.
pub fn try_all(attacks: &[Attack], more: &str) {
    // A few at a time: most of it is waiting, and other tests go on meanwhile.
    for few in attacks.chunks(4) {
        std::thread::scope(|scope| {
            let tried: Vec<_> =
                few.iter().map(|attack| scope.spawn(|| try_alone(attack, more))).collect();
            for surprises in tried.into_iter().map(|attack| attack.join().expect("tried")) {
                assert!(surprises.is_empty(), "{surprises:#?}");
            }
        });
    }
    for defence in [Defence::Default, Defence::NoLocks] {
        try_in_a_row(attacks, defence, more);
    }
}

/// Tries an attack where it shall succeed, and behind the flags alone. Gives what is not as expected.
fn try_alone(attack: &Attack, more: &str) -> Vec<String> {
    let outcomes = [(Defence::None, true), (Defence::FlagsOnly, !attack.flags_stop_it)];
    let surprising = outcomes.into_iter().filter(|&(defence, expected)| {
        let arena = Arena::new(defence, more, if expected { LATE } else { SOON });
        (attack.stage)(&arena);
        (attack.strike)(&arena) != expected
    });
    let word = |expected| if expected { "fails" } else { "succeeds" };
    surprising
        .map(|(defence, expected)| format!("{defence:?}: {}: {}", attack.name, word(expected)))
        .collect()
}

/// Tries all where none shall succeed: on the same instance, one after the other, as an attacker would.
fn try_in_a_row(attacks: &[Attack], defence: Defence, more: &str) {
    let arena = Arena::new(defence, more, SOON);
    let before = arena.what_attacks_change();
    for attack in attacks {
        (attack.stage)(&arena);
        assert!(!(attack.strike)(&arena), "{defence:?}: {} succeeds", attack.name);
        arena.assert_all_works(attack.name);
    }
    assert_eq!(arena.what_attacks_change(), before, "{defence:?}");
}
