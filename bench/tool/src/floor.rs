//! The floor of durability: one write and one fdatasync for as many records as there are senders.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::Instant;

/// The size of the preallocated file. It is written from the beginning again when it is full.
const PREALLOCATED: u64 = 256 << 20;

/// Writes batches of `senders` records to a preallocated file, each followed by a sync, as fast as the disk
/// allows.
pub fn floor(path: &str, record: &[u8], senders: usize, seconds: f64) {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path).expect("file");
    let zeros = vec![0u8; 1 << 20];
    for at in (0..PREALLOCATED).step_by(zeros.len()) {
        file.write_all_at(&zeros, at).expect("preallocate");
    }
    file.sync_all().expect("sync");
    let batch = record.repeat(senders.max(1));
    let (mut at, mut batches, mut late) = (0, 0u64, Vec::new());
    let began = Instant::now();
    while began.elapsed().as_secs_f64() < seconds {
        let begun = Instant::now();
        if at + batch.len() as u64 > PREALLOCATED {
            at = 0;
        }
        file.write_all_at(&batch, at).expect("write");
        file.sync_data().expect("sync");
        at += batch.len() as u64;
        batches += 1;
        late.push(begun.elapsed());
    }
    let rps = (batches * senders as u64) as f64 / began.elapsed().as_secs_f64();
    late.sort_unstable();
    let q = |p: f64| late[((late.len() as f64 * p) as usize).min(late.len() - 1)].as_secs_f64() * 1e6;
    println!("{{\"rps\":{rps:.1},\"p50_us\":{:.1},\"p99_us\":{:.1}}}", q(0.5), q(0.99));
}
