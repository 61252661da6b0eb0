//! `cargo run --package manual`: writes it all anew, after a change of the code that it repeats.

fn main() -> anyhow::Result<()> {
    manual::write()
}
