//! `patchglass info --devices`: where this build can compute on this machine, by the words that `--device` takes.

use crate::compute::{AdapterKind, adapters};
use crate::engine::Place;
use crate::engine::budget::size;
use crate::engine::protocol::DeviceChoice;
use crate::error::Result;

pub(super) fn devices() -> Result<()> {
    let mut lines = vec!["cpu       CPU".to_owned()];
    for (word, choice) in [
        ("cuda:0", DeviceChoice::Cuda(0)),
        ("metal", DeviceChoice::Metal),
    ] {
        if let Ok(places) = Place::all(choice) {
            lines.extend(
                places
                    .iter()
                    .map(|place| format!("{word:<9} {}", place.name)),
            );
        }
    }
    lines.extend(adapters().iter().map(|adapter| {
        let can = [
            (adapter.has_f16, "f16"),
            (adapter.has_subgroups, "subgroups"),
            (adapter.has_cooperative_matrix, "cooperative matrices"),
        ];
        let can: Vec<_> = can
            .iter()
            .filter(|(has, _)| *has)
            .map(|(_, name)| *name)
            .collect();
        let can = match can.is_empty() {
            true => "none of f16, subgroups, cooperative matrices".to_owned(),
            false => can.join(", "),
        };
        format!(
            "wgpu:{:<4} {} ({}, {}; {}); {can}; at most {} in one buffer",
            adapter.index,
            adapter.name,
            adapter.backend,
            kind(adapter.kind),
            adapter.driver,
            size(adapter.max_binding.min(adapter.max_buffer)),
        )
    }));
    let auto = Place::all(DeviceChoice::Auto)?;
    if let Some(chosen) = auto.first() {
        lines.push(format!("auto      takes {}", chosen.name));
    }
    super::print(&lines.join("\n"))
}

fn kind(kind: AdapterKind) -> &'static str {
    match kind {
        AdapterKind::Discrete => "discrete",
        AdapterKind::Integrated => "integrated",
        AdapterKind::Virtual => "virtual",
        AdapterKind::Software => "software, taken only by its number",
        AdapterKind::Other => "of unknown kind",
    }
}
