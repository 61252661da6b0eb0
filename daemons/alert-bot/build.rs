//! Links the program so that less of it has to be in memory.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Relocations in 5 kB rather than 380, all of which are read at the start. Needs glibc 2.36,
    // which is Debian 12's.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
}
