//! `deepseek-operator crds`: for those who install without the chart.

use deepseek_crds::schema;

pub(crate) fn print() -> anyhow::Result<()> {
    for crd in schema::all() {
        print!("---\n{}", schema::yaml(&crd)?);
    }
    Ok(())
}
