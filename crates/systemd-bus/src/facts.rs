//! One unit now: read fresh, never from a cache.

use std::collections::HashMap;

use futures_util::future::{OptionFuture, join};
use units::{ActiveState, LoadState, UnitFacts, UnitName};
use zbus::{Message, Variant};

use crate::link::{PROPERTIES, READ_TIMEOUT, UNIT};
use crate::properties::{UnitProperties, interface_of, text, texts};
use crate::{BusError, Systemd, path};

const GET_ALL: &str = "GetAll";

impl Systemd {
    /// Everything that a decision or a verification needs to know of one unit.
    ///
    /// Two pipelined `GetAll` calls and one list of the unit with its requirements. A unit without
    /// a file is no error: its load state is `not-found`. Reading loads a unit that is not loaded.
    ///
    /// # Errors
    /// As [`BusError`] says.
    pub async fn facts(&self, unit: &UnitName) -> Result<UnitFacts, BusError> {
        let object = path::of_unit(unit);
        let common = self.call(&object, PROPERTIES, GET_ALL, &UNIT, READ_TIMEOUT);
        let specific: OptionFuture<_> = interface_of(unit.kind())
            .map(|interface| self.get_all(&object, interface))
            .into();
        let (common, specific) = join(common, specific).await;
        let (common, specific) = (common?, specific.transpose()?);

        let body = common.body();
        let map = dictionary(&body)?;
        let mut properties = UnitProperties::default();
        properties.absorb_all(&map);
        if let Some(message) = &specific {
            properties.absorb_all(&dictionary(&message.body())?);
        }
        let requirements = requirements(&map);
        let load_state = load_state(&map)?;
        drop(map);

        let mut asked = requirements;
        asked.push(unit.clone());
        let listed = self.list_named(&asked).await?;
        let failed_requirements = listed
            .iter()
            .filter(|other| other.unit != *unit && other.active_state == ActiveState::Failed)
            .map(|other| other.unit.clone())
            .collect();
        let queued_job = listed
            .into_iter()
            .find(|other| other.unit == *unit)
            .and_then(|own| own.queued_job);
        assemble(
            unit,
            load_state,
            properties,
            queued_job,
            failed_requirements,
        )
    }

    async fn get_all(&self, object: &str, interface: &'static str) -> Result<Message, BusError> {
        self.call(object, PROPERTIES, GET_ALL, &interface, READ_TIMEOUT)
            .await
    }
}

fn assemble(
    unit: &UnitName,
    load_state: LoadState,
    read: UnitProperties,
    queued_job: Option<String>,
    failed_requirements: Vec<UnitName>,
) -> Result<UnitFacts, BusError> {
    Ok(UnitFacts {
        unit: unit.clone(),
        load_state,
        active_state: read.active_state.ok_or_else(|| missing("ActiveState"))?,
        sub_state: read.sub_state.ok_or_else(|| missing("SubState"))?,
        result: read.result,
        main_pid: read.main_pid.filter(|pid| *pid != 0),
        exec_main_status: read.exec_main_status,
        n_restarts: read.n_restarts,
        queued_job,
        invocation_id: read.invocation_id.filter(|id| !id.is_empty()),
        inactive_exit_usec: read.inactive_exit_usec.filter(|usec| *usec != 0),
        active_enter_usec: read.active_enter_usec.filter(|usec| *usec != 0),
        failed_requirements,
    })
}

/// `Requires=` and `BindsTo=`, without names that we could not act upon anyway.
fn requirements(map: &HashMap<&str, Variant<'_>>) -> Vec<UnitName> {
    ["Requires", "BindsTo"]
        .into_iter()
        .flat_map(|property| texts(map.get(property)))
        .filter_map(|name| UnitName::try_new(name).ok())
        .collect()
}

fn load_state(map: &HashMap<&str, Variant<'_>>) -> Result<LoadState, BusError> {
    map.get("LoadState")
        .and_then(text)
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| missing("LoadState"))
}

fn dictionary(body: &zbus::message::Body) -> Result<HashMap<&str, Variant<'_>>, BusError> {
    body.deserialize()
        .map_err(|error| BusError::from_zbus(GET_ALL, error))
}

fn missing(property: &str) -> BusError {
    BusError::Unreadable {
        call: GET_ALL,
        reason: format!("{property} is missing or a word that is not known"),
    }
}
