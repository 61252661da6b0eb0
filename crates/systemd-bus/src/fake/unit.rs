//! The units of the fake, as tables of properties.

use std::collections::{BTreeMap, HashMap};

use units::{ActiveState, UnitName};
use zbus::{ObjectPath, OwnedObjectPath, OwnedVariant, Variant};

use super::{State, object_path};
use crate::link::{MANAGER, MANAGER_PATH, UNIT};
use crate::path;
use crate::properties::interface_of;

/// A unit with the properties that systemd would show.
#[derive(Debug)]
pub struct FakeUnit {
    name: UnitName,
    interfaces: BTreeMap<&'static str, BTreeMap<&'static str, OwnedVariant>>,
}

impl FakeUnit {
    /// A loaded unit in this state.
    pub fn new(name: &str, state: ActiveState, sub_state: &str) -> Self {
        let unit = Self {
            name: UnitName::try_new(name).expect("tests name units that can exist"),
            interfaces: BTreeMap::new(),
        };
        let unit = unit
            .common("Id", name)
            .common("LoadState", "loaded")
            .common("ActiveState", state.as_str())
            .common("SubState", sub_state)
            .common("Job", (0_u32, object_path("/")))
            .common("InactiveExitTimestamp", 0_u64)
            .common("ActiveEnterTimestamp", 0_u64)
            .common("InvocationID", Vec::<u8>::new());
        match unit.name.kind() {
            units::UnitKind::Service => unit
                .with("Result", "success")
                .with("MainPID", 0_u32)
                .with("NRestarts", 0_u32)
                .with("ExecMainStatus", 0_i32),
            units::UnitKind::Timer => unit
                .with("LastTriggerUSec", 0_u64)
                .with("NextElapseUSecRealtime", u64::MAX)
                .with("NextElapseUSecMonotonic", u64::MAX),
            _ => unit,
        }
    }

    /// A service that runs.
    pub fn running(name: &str) -> Self {
        Self::new(name, ActiveState::Active, "running")
            .with("MainPID", 4321_u32)
            .common("InvocationID", vec![0xab_u8; 16])
            .common("InactiveExitTimestamp", 1_700_000_000_000_000_u64)
            .common("ActiveEnterTimestamp", 1_700_000_000_500_000_u64)
    }

    /// A service that failed.
    pub fn failed(name: &str) -> Self {
        Self::new(name, ActiveState::Failed, "failed")
            .with("Result", "exit-code")
            .with("ExecMainStatus", 1_i32)
    }

    /// Sets a property of the interface that all units have.
    #[must_use]
    pub fn common<'v>(self, property: &'static str, value: impl Into<Variant<'v>>) -> Self {
        self.set(UNIT, property, value.into())
    }

    /// Sets a property of the interface of its type.
    #[must_use]
    pub fn with<'v>(self, property: &'static str, value: impl Into<Variant<'v>>) -> Self {
        let interface = interface_of(self.name.kind()).unwrap_or(UNIT);
        self.set(interface, property, value.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    fn set(mut self, interface: &'static str, property: &'static str, value: Variant<'_>) -> Self {
        let value = value
            .try_into()
            .expect("a fake property holds no descriptor");
        self.interfaces
            .entry(interface)
            .or_default()
            .insert(property, value);
        self
    }

    pub(super) fn interfaces(
        &self,
    ) -> impl Iterator<Item = (&'static str, HashMap<&'static str, OwnedVariant>)> {
        self.interfaces
            .keys()
            .map(|interface| (*interface, self.properties(interface)))
    }

    pub(super) fn properties(&self, interface: &str) -> HashMap<&'static str, OwnedVariant> {
        let Some(properties) = self.interfaces.get(interface) else {
            return HashMap::new();
        };
        properties
            .iter()
            .map(|(name, value)| (*name, copy(value)))
            .collect()
    }

    fn text(&self, property: &str) -> String {
        self.interfaces
            .get(UNIT)
            .and_then(|common| common.get(property))
            .and_then(|value| <&str>::try_from(value).ok())
            .unwrap_or_default()
            .to_owned()
    }
}

/// A row of `ListUnits`.
pub(super) type Row = (
    String,
    String,
    String,
    String,
    String,
    String,
    OwnedObjectPath,
    u32,
    String,
    OwnedObjectPath,
);

impl State {
    pub(super) fn rows(&self, wanted: impl Fn(&str) -> bool) -> Vec<Row> {
        let matching = self.units.values().filter(|unit| wanted(unit.name()));
        matching
            .map(|unit| {
                let object = path::of_unit(&unit.name);
                let object = ObjectPath::try_from(object).expect("a unit has a well-formed path");
                let job = unit.text("JobType");
                (
                    unit.name().to_owned(),
                    String::new(),
                    unit.text("LoadState"),
                    unit.text("ActiveState"),
                    unit.text("SubState"),
                    String::new(),
                    object.into(),
                    u32::from(!job.is_empty()),
                    job,
                    object_path("/").into(),
                )
            })
            .collect()
    }

    /// The unit at an object path; one that is not there reads as a unit without a file.
    pub(super) fn unit_at(&self, object: &str) -> FakeUnit {
        let name = path::to_unit(object).expect("only units are read whole");
        self.units.get(name.as_str()).map_or_else(
            || {
                FakeUnit::new(name.as_str(), ActiveState::Inactive, "dead")
                    .common("LoadState", "not-found")
            },
            |known| FakeUnit {
                name: known.name.clone(),
                interfaces: known
                    .interfaces
                    .iter()
                    .map(|(interface, properties)| {
                        let copies = properties.iter().map(|(name, value)| (*name, copy(value)));
                        (*interface, copies.collect())
                    })
                    .collect(),
            },
        )
    }

    pub(super) fn property(
        &self,
        object: &str,
        interface: &str,
        property: &str,
    ) -> Option<OwnedVariant> {
        if object == MANAGER_PATH && interface == MANAGER {
            let text = match property {
                "Version" => "257.9-1~deb13u1",
                "SystemState" => "running",
                _ => return None,
            };
            return Variant::from(text).try_into().ok();
        }
        self.unit_at(object).properties(interface).remove(property)
    }
}

fn copy(value: &OwnedVariant) -> OwnedVariant {
    value
        .try_clone()
        .expect("a fake property holds no descriptor")
}
