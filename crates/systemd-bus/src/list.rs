//! All units at once, and the few properties that lists leave out.

use futures_util::future::join_all;
use units::{ActiveState, LoadState, UnitKind, UnitName};
use zbus::{ObjectPath, Variant};

use crate::link::{MANAGER, MANAGER_PATH, PROPERTIES, READ_TIMEOUT, UNIT};
use crate::properties::{UnitProperties, interface_of};
use crate::{BusError, Systemd, path};

/// One line of `systemctl list-units`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUnit {
    /// Which unit.
    pub unit: UnitName,
    /// Whether its file could be read.
    pub load_state: LoadState,
    /// What it is doing.
    pub active_state: ActiveState,
    /// The finer state, in the words of its type.
    pub sub_state: String,
    /// The type of the job queued for it, if any.
    pub queued_job: Option<String>,
}

/// name, description, load, active, sub, following, path, job id, job type, job path
type Row<'m> = (
    &'m str,
    &'m str,
    &'m str,
    &'m str,
    &'m str,
    &'m str,
    ObjectPath<'m>,
    u32,
    &'m str,
    ObjectPath<'m>,
);

impl Systemd {
    /// Every loaded unit. Rows whose words this crate does not know are left out.
    ///
    /// # Errors
    /// As [`BusError`] says.
    pub async fn list_units(&self) -> Result<Vec<ListedUnit>, BusError> {
        self.list("ListUnits", &()).await
    }

    /// Those of the named units that are loaded now. Unlike a read of their properties, asking
    /// does not load a unit that is gone, and so cannot cause events of its own.
    ///
    /// # Errors
    /// As [`BusError`] says.
    pub async fn list_named(&self, units: &[UnitName]) -> Result<Vec<ListedUnit>, BusError> {
        // The names are taken as glob patterns; a backslash is the one special character that a
        // unit name can have.
        let patterns: Vec<String> = units
            .iter()
            .map(|unit| unit.as_str().replace('\\', "\\\\"))
            .collect();
        let any_state: &[&str] = &[];
        self.list("ListUnitsByPatterns", &(any_state, patterns))
            .await
    }

    async fn list<B>(&self, method: &'static str, body: &B) -> Result<Vec<ListedUnit>, BusError>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        let message = self.call_manager(method, body, READ_TIMEOUT).await?;
        let body = message.body();
        let rows: Vec<Row<'_>> = body
            .deserialize()
            .map_err(|error| BusError::from_zbus(method, error))?;
        Ok(rows.iter().filter_map(parse_row).collect())
    }

    /// What lists leave out and signals bring: start time and invocation, and by type the restarts
    /// and last result of a service or the times of a timer. One pipelined round trip.
    ///
    /// # Errors
    /// As [`BusError`] says.
    pub async fn details(&self, unit: &UnitName) -> Result<UnitProperties, BusError> {
        let specific: &[&str] = match unit.kind() {
            UnitKind::Service => &["NRestarts", "Result", "ExecMainStatus"],
            UnitKind::Timer => &[
                "LastTriggerUSec",
                "NextElapseUSecRealtime",
                "NextElapseUSecMonotonic",
            ],
            _ => &[],
        };
        self.read(unit, &["ActiveEnterTimestamp", "InvocationID"], specific)
            .await
    }

    /// Some properties of a unit's own type, in one pipelined round trip. For those that systemd does
    /// not signal; a unit that is not loaded is loaded by the reading.
    ///
    /// # Errors
    /// As [`BusError`] says; a property that the type does not have is an error.
    pub async fn type_properties(
        &self,
        unit: &UnitName,
        names: &[&'static str],
    ) -> Result<UnitProperties, BusError> {
        self.read(unit, &[], names).await
    }

    async fn read(
        &self,
        unit: &UnitName,
        common: &[&'static str],
        specific: &[&'static str],
    ) -> Result<UnitProperties, BusError> {
        let object = path::of_unit(unit);
        let common = common.iter().map(|name| (UNIT, *name));
        let specific = interface_of(unit.kind())
            .into_iter()
            .flat_map(|interface| specific.iter().map(move |name| (interface, *name)));
        let reads = common.chain(specific).map(|(interface, name)| {
            let object = &object;
            async move {
                let key = (interface, name);
                let reply = self
                    .call(object, PROPERTIES, "Get", &key, READ_TIMEOUT)
                    .await;
                (name, reply)
            }
        });
        let mut properties = UnitProperties::default();
        for (name, reply) in join_all(reads).await {
            let message = reply?;
            let body = message.body();
            let value: Variant<'_> = body
                .deserialize()
                .map_err(|error| BusError::from_zbus("Get", error))?;
            properties.absorb(name, &value);
        }
        Ok(properties)
    }

    /// systemd's version, as in `257.9-1~deb13u1`.
    ///
    /// # Errors
    /// As [`BusError`] says.
    pub async fn version(&self) -> Result<String, BusError> {
        self.manager_text("Version").await
    }

    /// The state of the whole system: `running`, `degraded`, `starting`, …
    ///
    /// # Errors
    /// As [`BusError`] says.
    pub async fn system_state(&self) -> Result<String, BusError> {
        self.manager_text("SystemState").await
    }

    async fn manager_text(&self, property: &'static str) -> Result<String, BusError> {
        let key = (MANAGER, property);
        let message = self
            .call(MANAGER_PATH, PROPERTIES, "Get", &key, READ_TIMEOUT)
            .await?;
        let body = message.body();
        let value: Variant<'_> = body
            .deserialize()
            .map_err(|error| BusError::from_zbus("Get", error))?;
        String::try_from(&value).map_err(|error| BusError::from_zbus("Get", error))
    }
}

fn parse_row(row: &Row<'_>) -> Option<ListedUnit> {
    let (name, _, load, active, sub, _, _, job_id, job_type, _) = row;
    Some(ListedUnit {
        unit: UnitName::try_new(*name).ok()?,
        load_state: load.parse().ok()?,
        active_state: active.parse().ok()?,
        sub_state: (*sub).to_owned(),
        queued_job: (*job_id != 0).then(|| (*job_type).to_owned()),
    })
}
