//! The GGUF container: what is written is read back, and no bytes whatsoever do harm.

pub(crate) mod hostile;
pub(crate) mod sample;

use falsify::{Claim, falsifier};
use hostile::hostile;
use model::gguf::{Array, Error, File, KeyError, Layout, Metadata, Spec, Type, Value};
use model::quant::{FORMATS, Format};
use sample::{file, sample};

#[falsifier("FALSIFY-GGUF-ROUNDTRIP-001")]
fn what_is_laid_out_is_read_back(claim: &mut Claim) {
    let (metadata, specs) = sample();
    let layout = Layout::new(&metadata, &specs).unwrap();
    let bytes = file(&metadata, &specs);
    let parsed = File::parse(&bytes).unwrap();
    let mut part = |name: &str, what: &str, holds: bool| claim.at("part", name).check(what, holds);
    part("version", "the newest is written", parsed.version == 3);
    part("alignment", "it is the file's own", parsed.alignment == 64);
    part("alignment", "the data starts behind the header", parsed.data_start == layout.header.len());
    part("alignment", "the file ends with its last padding", bytes.len() == layout.len);
    part("metadata", "every value comes back", parsed.metadata == metadata);
    part("tensors", "every place comes back", parsed.tensors == layout.tensors);
    for (tensor, spec) in parsed.tensors.iter().zip(&specs) {
        part("tensors", &spec.name, tensor.dims == spec.dims && tensor.bytes.start % 64 == 0);
        let blocks = spec.dims.iter().product::<usize>() / spec.format.row().block;
        part("tensors", &spec.name, tensor.bytes.len() == blocks * spec.format.row().bytes);
        part("lookup", &spec.name, parsed.tensor(&spec.name) == Some(tensor));
    }
    part("lookup", "a name that is not there", parsed.tensor("no such tensor").is_none());
}

#[test]
fn axes_are_named() {
    let (metadata, specs) = sample();
    let parsed = File::parse(&file(&metadata, &specs)).unwrap();
    let vector = parsed.tensor("t.F32").unwrap();
    assert_eq!((vector.cols(), vector.rows(), vector.count()), (256, 1, 1));
    let experts = parsed.tensor("experts").unwrap();
    assert_eq!((experts.cols(), experts.rows(), experts.count(), experts.weights()), (32, 3, 10, 960));
}

#[test]
fn version_2_is_read() {
    let (metadata, specs) = sample();
    let mut bytes = file(&metadata, &specs);
    bytes[4] = 2;
    assert_eq!(File::parse(&bytes).unwrap().version, 2);
}

#[test]
fn a_file_without_tensors_is_read() {
    let bytes = file(&Metadata::default(), &[]);
    let parsed = File::parse(&bytes).unwrap();
    assert!(parsed.tensors.is_empty());
    // Even when it stops before its padding.
    assert_eq!(File::parse(&bytes[..24]).unwrap().data_start, 24);
}

#[falsifier("FALSIFY-GGUF-HOSTILE-001")]
fn every_hostile_file_is_refused_in_its_own_words(claim: &mut Claim) {
    let cases = hostile();
    assert!(cases.len() >= 30);
    for case in cases {
        let text = match File::parse(&case.bytes) {
            Ok(_) => "it was accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        let what = format!("{text:?} says {:?}", case.says);
        claim.on(case.name).check(&what, text.contains(case.says));
        claim.on(case.name).check("it is one line", !text.contains('\n') && text.len() < 400);
    }
}

#[falsifier("FALSIFY-GGUF-TRUNCATION-001")]
fn every_truncation_is_refused(claim: &mut Claim) {
    let (metadata, specs) = sample();
    let bytes = file(&metadata, &specs);
    let end = File::parse(&bytes).unwrap().tensors.iter().map(|t| t.bytes.end).max().unwrap();
    let read = (0..end).filter(|&len| File::parse(&bytes[..len]).is_ok()).count();
    claim.on(format!("{end} prefixes")).measure("count", read as f64, "");
    // Only padding is missing.
    let refused = (end..=bytes.len()).filter(|&len| File::parse(&bytes[..len]).is_err()).count();
    claim.on("without padding").measure("count", refused as f64, "");
}

/// What a byte of a file may cost; the contract says why.
const BYTES_PER_BYTE: u64 = 16;

#[falsifier("FALSIFY-GGUF-MEMORY-001")]
fn memory_is_bounded_by_the_length_of_the_file(claim: &mut Claim) {
    for case in hostile() {
        let used = allocation_counter::measure(|| drop(File::parse(&case.bytes)));
        let beyond = used.bytes_max as f64 - (BYTES_PER_BYTE * case.bytes.len() as u64) as f64;
        claim.on(case.name).measure("memory", beyond, "B");
    }
}

/// Whether what was read of a file holds together.
fn sound(bytes: &[u8], parsed: &File) -> bool {
    parsed.tensors.iter().all(|t| {
        bytes.get(t.bytes.clone()).is_some()
            && t.format.row_bytes(t.cols()).and_then(|row| row.checked_mul(t.weights() / t.cols()))
                == Some(t.bytes.len())
            && parsed.tensor(&t.name) == Some(t)
    })
}

#[falsifier("FALSIFY-GGUF-DAMAGE-001")]
fn whatever_is_read_holds_together(claim: &mut Claim) {
    let (metadata, specs) = sample();
    let good = file(&metadata, &specs);
    let header = Layout::new(&metadata, &specs).unwrap().header.len();
    let mut random = sample::Random(7);
    let (mut read, mut sound_ones, rounds) = (0, 0, 20_000);
    for _ in 0..rounds {
        let mut bytes = good.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(header);
            bytes[at] = match random.below(4) {
                0 => 0,
                1 => 255,
                2 => bytes[at] ^ 1 << random.below(8),
                _ => random.below(256) as u8,
            };
        }
        if let Ok(parsed) = File::parse(&bytes) {
            read += 1;
            sound_ones += usize::from(sound(&bytes, &parsed));
        }
    }
    claim.at("source", "damage").check("every file that was read holds together", read == sound_ones);
    // Damage to text and to numbers goes unnoticed; damage to lengths, types, names and shapes does not.
    let share = read > rounds / 10 && read < rounds * 3 / 4;
    claim.at("source", "damage").check(&format!("{read} of {rounds} were read"), share);

    // Inputs that a fuzzer found to reach every branch of the reader.
    let mut files = 0;
    for entry in std::fs::read_dir(crate::data::path("gguf-corpus")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let holds = File::parse(&bytes).is_ok_and(|parsed| !sound(&bytes, &parsed));
        claim.at("source", "corpus").check(&format!("{}", path.display()), !holds);
        files += 1;
    }
    claim.at("source", "corpus").check("there are some", files > 100);
}

#[test]
fn typed_access_names_key_and_type() {
    let mut m = Metadata::default();
    m.set("count", Value::U32(7));
    m.set("signed", Value::I16(-1));
    m.set("eps", Value::F32(1e-6));
    m.set("words", Value::Array(Array::String(vec!["a".into()])));
    m.set("types", Value::Array(Array::U8(vec![1, 2])));
    m.set("wide", Value::Array(Array::U64(vec![u64::MAX])));
    assert_eq!(m.required::<usize>("count"), Ok(7));
    assert_eq!(m.required::<i64>("signed"), Ok(-1));
    assert_eq!(m.required::<f32>("eps"), Ok(1e-6));
    assert_eq!(m.required::<&[String]>("words"), Ok(&["a".to_owned()][..]));
    assert_eq!(m.required::<Vec<i64>>("types"), Ok(vec![1, 2]));
    assert_eq!(m.optional::<bool>("absent"), Ok(None));
    assert_eq!(
        m.required::<u32>("absent").map_err(|e| e.to_string()),
        Err("metadata key 'absent' is missing, expected an integer that fits u32".into())
    );
    assert_eq!(
        m.required::<u32>("signed").map_err(|e| e.to_string()),
        Err("metadata key 'signed' is i16 -1, expected an integer that fits u32".into())
    );
    assert_eq!(
        m.optional::<&str>("types").map_err(|e| e.to_string()),
        Err("metadata key 'types' is array of 2 u8, expected string".into())
    );
    assert!(matches!(m.required::<Vec<i64>>("wide"), Err(KeyError::Mismatch { .. })));
}

#[test]
fn a_layout_refuses_what_a_file_may_not_hold() {
    let spec = |name: &str, dims: &[usize], format| Spec { name: name.into(), dims: dims.into(), format };
    let lay = |metadata: &Metadata, specs: &[Spec]| Layout::new(metadata, specs).map(|_| ());
    let none = Metadata::default();
    let twice = [spec("a", &[1], Format::F32), spec("a", &[1], Format::F32)];
    assert_eq!(lay(&none, &twice), Err(Error::DuplicateTensor { tensor: "a".into() }));
    assert!(matches!(lay(&none, &[spec("a", &[], Format::F32)]), Err(Error::Axes { found: 0, .. })));
    assert!(matches!(lay(&none, &[spec("a", &[0], Format::F32)]), Err(Error::Empty { .. })));
    assert!(matches!(lay(&none, &[spec("a", &[255], Format::Q4K)]), Err(Error::Blocks { cols: 255, .. })));
    assert!(matches!(lay(&none, &[spec("a", &[usize::MAX, 2], Format::F32)]), Err(Error::TooLarge { .. })));
    let mut odd = Metadata::default();
    odd.set("general.alignment", Value::U32(24));
    assert_eq!(lay(&odd, &[]), Err(Error::Alignment { found: "u32 24".into() }));
}

#[test]
fn type_ids_are_those_of_the_format() {
    for (id, kind) in (0..13).map(|id| (id, Type::from_id(id).unwrap())) {
        assert_eq!(kind as u32, id);
    }
    assert_eq!(Type::from_id(13), None);
    assert_eq!(FORMATS.len(), 15);
}
