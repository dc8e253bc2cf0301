//! Compiles `proto/` into the descriptor set that the program interprets, so that no generated code and no
//! `protoc` is needed.

use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

use prost::Message as _;
use prost::bytes::{Buf as _, BufMut as _};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

/// A file whose own option values are dropped: they are rules in CEL that only other runtimes read, and
/// three quarters of its size.
const STRIPPED: &str = "buf/validate/validate.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protos(Path::new("proto/gizad"))?;
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(false).open_files(files)?;
    // The encoded set, and not the decoded one, keeps the values of custom options.
    let set = lean(&compiler.encode_file_descriptor_set())?;
    #[expect(clippy::disallowed_methods, reason = "cargo speaks to a build script in the environment")]
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("contract.bin"), set)?;
    Ok(())
}

/// Every `.proto` below a folder, in a stable order.
fn protos(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(protos(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The same `FileDescriptorSet` with the one file stripped.
fn lean(set: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut rest = set;
    let mut out = Vec::with_capacity(set.len());
    while rest.has_remaining() {
        let (tag, wire) = decode_key(&mut rest)?;
        assert!(tag == 1 && wire == WireType::LengthDelimited, "a set has one field, its files");
        let length = usize::try_from(decode_varint(&mut rest)?)?;
        let (file, after) = rest.split_at(length);
        rest = after;
        let decoded = prost_types::FileDescriptorProto::decode(file)?;
        encode_key(1, WireType::LengthDelimited, &mut out);
        if decoded.name() == STRIPPED {
            // prost-types knows no extensions, so encoding again leaves them out.
            encode_varint(u64::try_from(decoded.encoded_len())?, &mut out);
            decoded.encode(&mut out)?;
        } else {
            encode_varint(u64::try_from(length)?, &mut out);
            out.put_slice(file);
        }
    }
    Ok(out)
}
