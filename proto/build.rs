//! Compiles the proto files with protox, so that nobody needs a protoc.

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["pinger/v1/device_service.proto", "pinger/internal/v1/backend_service.proto"];
    println!("cargo:rerun-if-changed=pinger");
    let descriptors = protox::compile(files, ["."])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), protox::compile(&files[..1], ["."])?.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        .skip_debug([
            "pinger.v1.Credential",
            "pinger.v1.Credential.secret",
            "pinger.v1.RegisterResponse",
            "pinger.v1.ApnsTarget",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
