//! temp
use super::report::{CaseRecord, JobSummary, RunSummary};
/// R
pub trait Renderer: Send {
    /// b
    fn begin(&mut self, summary: &RunSummary);
    /// c
    fn case(&mut self, job: &JobSummary, record: &CaseRecord);
    /// f
    fn finish(&mut self) -> Vec<u8>;
}
macro_rules! r { ($($n:ident)*) => {$(
/// x
#[derive(Debug)] pub struct $n;
impl $n {
    /// n
    #[must_use] pub fn new() -> Self { Self } }
impl Renderer for $n { fn begin(&mut self, _: &RunSummary){} fn case(&mut self, _: &JobSummary, _: &CaseRecord){} fn finish(&mut self) -> Vec<u8> { Vec::new() } }
)*}}
r!(Json Junit Ctrf Html);
