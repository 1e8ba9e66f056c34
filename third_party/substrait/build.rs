//! Makes the messages' types from `descriptors.bin`, which is what `protoc` would give.

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=descriptors.bin");
    let no_files: [&str; 0] = [];
    prost_build::Config::new()
        .file_descriptor_set_path("descriptors.bin")
        .skip_protoc_run()
        .compile_well_known_types()
        .extern_path(".google.protobuf", "::pbjson_types")
        .compile_protos(&no_files, &no_files)
}
