"""Schema version 1: the first layout of the tables of dsx.

The column types are not imported from the schema, because later changes to it must not change this
migration.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Create all tables and the id of the database."""
    _create_database_and_devices()
    _create_designs_and_protocols()
    _create_measurements()
    _create_deployments()
    _create_form_and_reference_times()
    _create_studies()
    _create_trials()
    _create_weight_files_and_leases()


def _create_database_and_devices() -> None:
    database = op.create_table(
        "dsx_database",
        sa.Column("id", sa.String(255), primary_key=True),
    )
    op.bulk_insert(database, [{"id": secrets.token_hex(16)}])
    op.create_table(
        "dsx_devices",
        sa.Column("fingerprint", sa.String(255), primary_key=True),
        sa.Column("facts", sa.JSON(), nullable=False),
    )


def _create_designs_and_protocols() -> None:
    op.create_table(
        "dsx_designs",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("model_args", sa.JSON(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
    )
    op.create_table(
        "dsx_protocols",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("metric", sa.String(255), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
    )


def _create_measurements() -> None:
    op.create_table(
        "dsx_measurements",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("design", sa.String(255), sa.ForeignKey("dsx_designs.id"), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("metric", sa.String(255), nullable=False),
        sa.Column("protocol", sa.String(255), sa.ForeignKey("dsx_protocols.id"), nullable=False),
        sa.Column(
            "device", sa.String(255), sa.ForeignKey("dsx_devices.fingerprint"), nullable=False
        ),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("samples", sa.LargeBinary(), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("measured_at", sa.DateTime(), nullable=False),
    )
    op.create_index("dsx_measured", "dsx_measurements", ["subject", "metric", "protocol", "device"])


def _create_deployments() -> None:
    op.create_table(
        "dsx_deployments",
        sa.Column("design", sa.String(255), sa.ForeignKey("dsx_designs.id"), primary_key=True),
        sa.Column("protocol", sa.String(255), sa.ForeignKey("dsx_protocols.id"), primary_key=True),
        sa.Column(
            "device", sa.String(255), sa.ForeignKey("dsx_devices.fingerprint"), primary_key=True
        ),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("timed_as", sa.String(255), sa.ForeignKey("dsx_protocols.id"), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
    )
    op.create_index("dsx_deployed", "dsx_deployments", ["subject", "timed_as", "device"])


def _create_form_and_reference_times() -> None:
    op.create_table(
        "dsx_forms",
        sa.Column(
            "device", sa.String(255), sa.ForeignKey("dsx_devices.fingerprint"), primary_key=True
        ),
        sa.Column("situation", sa.String(64), primary_key=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("form", sa.String(255), nullable=False),
        sa.Column("seconds", sa.JSON(), nullable=False),
    )
    op.create_table(
        "dsx_reference_times",
        sa.Column(
            "device", sa.String(255), sa.ForeignKey("dsx_devices.fingerprint"), primary_key=True
        ),
        sa.Column("situation", sa.String(255), primary_key=True),
        sa.Column("milliseconds", sa.Double(), nullable=False),
    )


def _create_studies() -> None:
    op.create_table(
        "dsx_studies",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("space", sa.String(255), nullable=False),
        sa.Column("space_text", sa.Text(), nullable=False),
        sa.Column(
            "device", sa.String(255), sa.ForeignKey("dsx_devices.fingerprint"), nullable=False
        ),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("baseline", sa.String(255), sa.ForeignKey("dsx_designs.id"), nullable=False),
        sa.Column("objectives", sa.JSON(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("reference", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )


def _create_trials() -> None:
    op.create_table(
        "dsx_trials",
        sa.Column("study", sa.String(255), sa.ForeignKey("dsx_studies.name"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("design", sa.String(255), sa.ForeignKey("dsx_designs.id"), nullable=True),
        sa.Column("state", sa.String(255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("feasible", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
    )
    op.create_table(
        "dsx_trial_details",
        sa.Column("study", sa.String(255), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("traceback", sa.Text(), nullable=False),
        sa.Column("violations", sa.JSON(), nullable=False),
    )


def _create_weight_files_and_leases() -> None:
    op.create_table(
        "dsx_weight_files",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("study", sa.String(255), nullable=False),
        sa.Column("design", sa.String(255), nullable=False),
        sa.Column("training", sa.String(255), nullable=False),
        sa.Column("file", sa.String(255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(255), nullable=True),
    )
    op.create_index("dsx_weight_files_of", "dsx_weight_files", ["design", "training"])
    op.create_table(
        "dsx_leases",
        sa.Column("study", sa.String(255), primary_key=True),
        sa.Column("token", sa.String(255), nullable=False),
        sa.Column("counter", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
    )
