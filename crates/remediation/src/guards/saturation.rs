//! Is the unit overloaded rather than broken? No restart can fix that.

use crate::Percent;
use crate::case::Case;

/// What the pressure of the moment rules out. Rungs that are ruled out are left out of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strain {
    overloaded: bool,
    starved: bool,
}

impl Strain {
    pub(crate) fn of(case: &Case<'_>) -> Self {
        let Some(limits) = case.rule.saturation else {
            return Self {
                overloaded: false,
                starved: false,
            };
        };
        let pressure = case.situation.pressure;
        let starved = reaches(pressure.memory, limits.memory);
        Self {
            starved,
            overloaded: starved
                || reaches(pressure.cpu, limits.cpu)
                || reaches(pressure.throttled, limits.throttled),
        }
    }

    /// Interrupting a unit that works as hard as it can only adds to its queue.
    pub(crate) fn forbids_interruption(self) -> bool {
        self.overloaded
    }

    /// One more instance on a host that stands still for want of memory makes it worse.
    pub(crate) fn forbids_growth(self) -> bool {
        self.starved
    }
}

fn reaches(measured: Option<Percent>, limit: Option<Percent>) -> bool {
    matches!((measured, limit), (Some(measured), Some(limit)) if measured >= limit)
}

#[cfg(test)]
mod tests {
    use units::ActiveState::{self, *};

    use crate::testing::Scene;
    use crate::{Action, Decision, Percent, Pressure, Reason};

    const RULE: &str = r#"
        ladder = [{ action = "restart" }, { action = "scale-up", max = 3 }]
        saturation = { cpu = "60%", memory = "20%", throttled = "50%" }
    "#;

    fn scene(state: ActiveState, cpu: f64, memory: f64, throttled: f64) -> Scene {
        Scene::of("worker@1.service", state)
            .rule(RULE)
            .with(|situation| {
                situation.pressure = Pressure {
                    cpu: Some(Percent::from_f64(cpu)),
                    memory: Some(Percent::from_f64(memory)),
                    throttled: Some(Percent::from_f64(throttled)),
                };
            })
    }

    #[test]
    fn an_overloaded_unit_is_given_help_rather_than_a_restart() {
        for (state, cpu, memory, throttled, action) in [
            (Active, 59.9, 0.0, 0.0, Action::Restart),
            (Active, 60.0, 0.0, 0.0, Action::ScaleUp),
            (Active, 0.0, 0.0, 50.0, Action::ScaleUp),
            // What is down is not overloaded, whatever the host is.
            (Failed, 99.0, 0.0, 0.0, Action::Restart),
            (Failed, 99.0, 99.0, 0.0, Action::Restart),
        ] {
            let decision = scene(state, cpu, memory, throttled).decide();
            assert_eq!(
                decision.plan().unwrap().action,
                action,
                "{state} {cpu} {throttled}"
            );
        }
    }

    #[test]
    fn a_host_without_memory_gets_no_further_instance() {
        let decision = scene(Active, 0.0, 20.0, 0.0).decide();
        assert!(matches!(
            decision,
            Decision::Hold {
                reason: Reason::Saturated,
                ..
            }
        ));
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_no_pressure() {
        let scene = scene(Active, 99.0, 99.0, 99.0).with(|s| s.pressure = Pressure::default());
        assert_eq!(scene.decide().plan().unwrap().action, Action::Restart);
    }
}
