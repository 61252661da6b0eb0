//! Block devices by name: `io.stat` gives their numbers only.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use crate::exposition::label;

/// The names of the devices seen so far.
#[derive(Debug)]
pub struct Devices {
    sys: PathBuf,
    labels: HashMap<(u32, u32), String>,
}

impl Devices {
    /// Names are looked up in sysfs at `sys`.
    pub fn new(sys: PathBuf) -> Self {
        Self {
            sys,
            labels: HashMap::new(),
        }
    }

    /// Looks up the name of a device that is new; sysfs links its number to its place.
    pub fn learn(&mut self, device: (u32, u32)) {
        let sys = &self.sys;
        self.labels.entry(device).or_insert_with(|| {
            let number = format!("{}:{}", device.0, device.1);
            let place = fs::read_link(sys.join("dev/block").join(&number));
            let name = place
                .ok()
                .and_then(|place| Some(place.file_name()?.to_string_lossy().into_owned()));
            format!(",{}", label("device", &name.unwrap_or(number)))
        });
    }

    /// `,device="…"` of a device that was learned.
    pub fn label(&self, device: (u32, u32)) -> &str {
        self.labels.get(&device).map_or("", String::as_str)
    }
}
